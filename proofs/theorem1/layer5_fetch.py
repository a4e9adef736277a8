"""Lemma 5 (Fetch). After layer 5 a label committed to task i holds the query's features
phi(x_{p_i}).

Hypotheses: the task code of a committed label is off by at most zeta, with 2 zeta < gap (checked).
Why: head i's winner scores exactly 0 and BOS -T or less; for another task's head the gate lifts BOS
to +T or more, to +2T unless its code is one of the two neighbors; every token that is no committed
label loses to BOS by 2T in every head, and all else is 2T below the winner. Bound: (F + E_f) (3
e^-T + 4N e^-2T + K (e^-2T + N e^-4T)), F the norm of features: the own head misplaces e^-T + N
e^-2T, each neighbor as much, strays of the own head N e^-2T, a shut head e^-2T + N e^-4T. To this
come the error E_f of the query's own features, what the label held before, and K times what BOS
holds: a shut head reads BOS with a weight near 1."""

from dataclasses import replace

from construct.spec import Spec
from proofs.selection import Errors, Setting


def near(spec: Spec) -> int:
    """A committed label's near loser: BOS for its own head, the query's token for the heads of
    neighboring codes."""
    return 1


def lemma(setting: Setting, before: Errors) -> Errors:
    """The errors after Fetch."""
    K = setting.spec.K
    moved = misplaced(setting, "fetch") + setting.select(K)
    longest = setting.feature_norm + before.f + before.sink_f
    f = before.f + before.rest_f + K * before.sink_f + moved * longest
    idle = (1 + setting.select(K)) * K * (before.sink_f + setting.shut("fetch") * longest)
    after = replace(before, f=f, rest_f=before.rest_f + idle, sink_f=before.sink_f + idle)
    return after if setting.spec.features else replace(after, x=f)


def misplaced(setting: Setting, layer: str) -> float:
    """The weight that a gated layer's K heads misplace together, at any token."""
    tau, far, shut = setting.tau(layer), setting.far(layer), setting.shut(layer)
    return 3 * tau + 4 * far + setting.spec.K * shut
