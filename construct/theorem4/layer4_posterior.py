"""Layer 4, Posterior: every arrow and word reads the prevalence of each task among the examples
that it could belong to, and performs. Realizes Lemma 4.

    score(q, k) = 3T (K + 2) (ok_k - 1) + 3T (<c_q, c_k> - 1)       for k other than BOS
    BOS         : -B + (B + 2T) (one - a_0 - ... - a_(L-1))_q,  B = T; 4T to fall back to the prior
    value       = c -> omega
    MLP         : y += relu(omega_i + own[p_i]_v + a_(t-1) - 2) W_i^(t) e_v

over tasks i, words v and t = 1..L. The examples that count and whose task says all words so far tie
at 0, so omega_i is m_i over their sum: the softmax normalizes, and that is Bayes' rule. One head;
the others are idle.
"""

import numpy as np

from construct.heads import Head, Term, banks
from construct.layers import LayerWeights, MLPWeights, Support
from construct.residual import Residual
from construct.scores import to_bos
from construct.spec import Spec
from construct.theorem4.gains import Gains, LineGains
from construct.words import WordTask


def layer(spec: Spec, gains: Gains, residual: Residual, tasks: list[WordTask]) -> LayerWeights:
    """The weights of Posterior."""
    return LayerWeights(
        "posterior",
        banks([posterior(spec, gains, residual)], 1, spec.K, residual, spec.dtype),
        Support.LABELS,
        _perform(spec, residual, tasks),
        causal=True,
    )


def posterior(spec: Spec, gains: LineGains, residual: Residual) -> Head:
    """The head by which an arrow or a word averages c over the committed examples before it whose
    task says all words so far."""
    # A committed example has one task in c, so <c_q, c_k> is 1 if the words so far are its task's,
    # else 0: 3T behind. A token with ok = 0 may have all K tasks in c, and stays 9T behind. BOS is
    # T behind the winners; without any it leads by 2T. To fall back, it is T behind the committed
    # examples that do not win: if nobody wins, they do, and omega is the prior.
    T, one, bos = gains.T, residual["one"], residual["bos"]
    asks = np.sum([residual[f"a{u}"] for u in range(spec.L)], axis=0)
    nothing = 4 * T if spec.fallback else T
    return Head(
        terms=(
            Term(
                "committed",
                one,
                gains.committed * (residual["ok"] - one + bos) - 3 * T * (one - bos),
            ),
            Term("agreement", 3 * T * residual["c"], residual["c"]),
            to_bos(residual, "nothing", -nothing * one),
            to_bos(residual, "elsewhere", (nothing + 2 * T) * (one - asks)),
        ),
        value=residual["c"],
        out=residual["omega"].T,
    )


def _perform(spec: Spec, residual: Residual, tasks: list[WordTask]) -> MLPWeights:
    # Only the unit of the line's own word in slot p_i and of the place that comes next is open, and
    # it passes on omega_i.
    d = spec.d
    W_1 = np.zeros((spec.K, spec.L, d, residual.dim))
    W_2 = np.zeros((residual.dim, spec.K, spec.L, d))
    y, own = residual.where("y"), residual.where("own")
    for i, task in enumerate(tasks):
        first = own.start + task.slot * d
        W_1[i, :, :, first : first + d] = np.eye(d)
        W_1[i] += residual["omega"][i] - 2 * residual["one"][0]
        for t, matrix in enumerate(task.matrices):
            W_1[i, t] += residual[f"a{t}"][0]
            W_2[y, i, t] = matrix
    return MLPWeights(
        W_1=W_1.reshape(-1, residual.dim).astype(spec.dtype),
        W_2=W_2.reshape(residual.dim, -1).astype(spec.dtype),
    )
