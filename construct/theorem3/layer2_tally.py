"""Layer 2, Tally: the answer token averages w over the committed labels: the prevalence of each
task. Realizes Lemma 2.

    score(k)    = 3T (ok_k - 1)                   for k other than BOS; no input has ok = 1 here
    BOS         : -T + 3T (one - qry + inp)_q
    value       = w -> w

What the answer token holds in w after this layer is the task vector. One head; the others are
idle.
"""

from construct.heads import banks
from construct.layers import LayerWeights, Support
from construct.residual import Residual
from construct.scores import mean_of_committed
from construct.spec import Spec
from construct.tasks import Task
from construct.theorem3.gains import Gains


def layer(spec: Spec, gains: Gains, residual: Residual, tasks: list[Task]) -> LayerWeights:
    """The weights of Tally."""
    head = mean_of_committed(residual, gains.T, residual["ok"], "w")
    return LayerWeights(
        "tally", banks([head], 1, spec.K, residual, spec.dtype), Support.LABELS, causal=True
    )
