"""Lemma 3 (Recognize). After layer 3 an input in slot p holds the sum of the codes c_i, and the
number, of the tasks i with p_i = p that explain its example.

Hypotheses: every residual ||g_i(X_j) - y_j|| is at most rho or at least delta; labels, and W_i
phi(x) + b_i for every task and every input, have norm at most R. Why: the token itself leads BOS by
T0 - beta ||r_i||^2, which is at least T up to rho and at most -T from delta on, with rho and delta
narrowed by what Lemmas 1 and 2 leak and what rounding adds. Any other token loses to BOS by 2T even
when its residual is opposite and of norm 2R, because 2 P2 >= beta ((2R + kappa)^2 + theta) + T0 +
2T, kappa the residual charge and theta what BOS' own residual moves. Bound: each of K heads
misplaces at most e^-T + N e^-2T.
"""

from dataclasses import replace

from construct.spec import Spec
from proofs.selection import Errors, Setting


def near(spec: Spec) -> int:
    """The near loser: BOS or the token itself, whichever does not win."""
    return 1


def lemma(setting: Setting, before: Errors) -> Errors:
    """The errors after Recognize."""
    K = setting.spec.K
    leak = K * (setting.tau("recognize") + setting.far("recognize"))
    # Counts are sums of weights that are exactly 0 or 1 if the softmax is hard; a code is rounded
    # when its cosine is computed and when it is stored.
    rounding = K * setting.select(K)
    code = K * setting.gamma(K + 3)
    return replace(
        before, z=before.z + leak + rounding + code, count=before.count + leak + rounding
    )
