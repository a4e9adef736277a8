"""Lemma 6 (Execute). After layer 6 a label committed to task i holds g_i(X_query) in y; its old
label is gone.

Hypotheses: as in Lemma 5; W_i phi(x) + b_i has norm at most R for the query's inputs too. Bound:
||W|| times the error of the fetched features, plus the misplaced weight times V = 2R + ||b|| +
||W|| E_f + E_y, the longest value, and V_B, BOS' value, plus K V_B, since a shut head reads BOS
with a weight near 1, plus the rounding of one dot product of r features, a bias and a label (in max
norm: a row of W is no longer than ||W||)."""

from dataclasses import replace

from construct.spec import Spec
from proofs.selection import Errors, Setting
from proofs.theorem1.layer5_fetch import misplaced


def near(spec: Spec) -> int:
    """A committed label's near loser: BOS for its own head, itself for the heads of neighboring
    codes."""
    return 1


def lemma(setting: Setting, before: Errors) -> Errors:
    """The errors after Execute."""
    spec = setting.spec
    longest = 2 * spec.radius + spec.bias_norm + spec.weight_norm * before.f + before.y
    sink = spec.weight_norm * before.sink_f + before.sink_y
    # A token that is not committed, BOS included, reads BOS and strays in all K heads.
    idle = spec.K * (sink + setting.shut("execute") * (longest + sink))
    idle *= 1 + setting.select(spec.K)
    leak = misplaced(setting, "execute") * (longest + sink) + spec.K * sink
    dot = setting.output_rounding(before.f, before.y)
    rounding = dot + setting.select(spec.K) * longest
    rounding += setting.gamma(1) * (setting.sizes.output + spec.weight_norm * before.f + dot)
    executed = spec.weight_norm * before.f + leak + rounding
    return replace(
        before,
        y=max(executed, before.y + idle),
        output=executed,
        idle_y=before.idle_y + idle,
    )
