"""Layer 7, Superpose: the answer token averages the outputs of all committed labels. Realizes Lemma
7.

    score(k)    = 3T (ok_k - inp_k - 1)                       for k other than BOS
    BOS         : -T + 3T (one - qry + inp)_q
    value       = y -> y

The even mean over examples is the superposition weighted by prevalence. One head; the others are
idle.
"""

from construct.heads import banks
from construct.layers import LayerWeights, Support
from construct.residual import Residual
from construct.scores import mean_of_committed
from construct.spec import Spec
from construct.tasks import FeatureMap, Task
from construct.theorem1.gains import Gains


def layer(
    spec: Spec, gains: Gains, residual: Residual, tasks: list[Task], feature_map: FeatureMap | None
) -> LayerWeights:
    """The weights of Superpose."""
    # An input may have ok = 1 too (its slot's own verdict); subtracting inp puts it back among the
    # losers.
    head = mean_of_committed(residual, gains.T, residual["ok"] - residual["inp"], "y")
    return LayerWeights("superpose", banks([head], 1, spec.K, residual, spec.dtype), Support.LABELS)
