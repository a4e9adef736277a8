"""Layer 2, Consistency: at every vector of a line, how much each task agrees with the line so far.
Realizes Lemma 2 on vectors.

    head        : that of words, with value w + (a_0 + soft) (1, ..., 1) -> g

The arrow and the vectors up to the own one tie, so after t vectors g_i = 1 - r^2/(2 (t + 1)), r the
task's residual on them. Soft vectors count as said by every task. One head; the others are idle.
"""

from construct.heads import banks
from construct.layers import LayerWeights, Support
from construct.residual import Residual
from construct.spec import Spec
from construct.theorem4.layer2_consistency import mean_of_line
from construct.theorem4.vectors.gains import Gains
from construct.vectors import VectorTask


def layer(spec: Spec, gains: Gains, residual: Residual, tasks: list[VectorTask]) -> LayerWeights:
    """The weights of Consistency."""
    head = mean_of_line(spec, gains, residual, residual["a0"] + residual["soft"])
    return LayerWeights(
        "consistency",
        banks([head], 1, spec.K, residual, spec.dtype),
        Support.EXAMPLE,
        causal=True,
    )
