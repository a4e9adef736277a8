"""Lemma 5 (Fetch). After layer 5 a label committed to task i holds the query's features
phi(x_{p_i}).

Hypotheses: the task code of a committed label is off by at most zeta, with 2 zeta < gap (checked).
Why: head i's winner scores exactly 0 and BOS -T or less; for another task's head the gate lifts BOS
to +T or more, to +3T unless its code is one of the two neighbors; every token that is no committed
label loses to BOS by 2T in every head. Bound: F (3 e^-T + 4N e^-2T + 2K e^-3T + K N e^-2T), F the
norm of features: the own head misplaces e^-T + N e^-2T, each neighbor as much, the other heads
e^-3T each.
"""

from dataclasses import replace

from construct.spec import Spec
from proofs.selection import Errors, Setting


def near(spec: Spec) -> int:
    """A committed label's near loser: BOS for its own head, the query's token for the heads of
    neighboring codes."""
    return 1


def lemma(setting: Setting, before: Errors) -> Errors:
    """The errors after Fetch."""
    moved = misplaced(setting, "fetch") + setting.select(setting.spec.K)
    f = before.f + moved * (setting.feature_norm + before.f)
    return replace(before, f=f, x=before.x if setting.spec.features else f)


def misplaced(setting: Setting, layer: str) -> float:
    """The weight that a gated layer's K heads misplace together, at any token."""
    K, tau, far = setting.spec.K, setting.tau(layer), setting.far(layer)
    return 3 * tau + 4 * far + 2 * K * tau**3 + K * far
