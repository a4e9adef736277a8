"""Layer 5, Fetch: a label committed to task i copies the query's features from slot p_i. Realizes
Lemma 5.

    score(q, k) = T (<code(m), e_k> + <code(p_i), s_k> - L)   for k other than BOS
    BOS         : -(T + G zeta) + G (1 - <z, c_i>)_q + A (1 - ok)_q + B (1 - lab)_q
    value       = f -> f

zeta bounds the leak of the task code; A outweighs any sum of codes that an abstained label can
hold, B one code. The query side of the position is constant, so it is folded into the key: the
winner scores exactly 0 in any format.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from construct.heads import Head, Term, banks
from construct.layers import LayerWeights, Support
from construct.residual import Residual, position_code, task_codes
from construct.scores import to_bos
from construct.spec import Spec
from construct.tasks import FeatureMap, Task
from construct.theorem1.gains import Gains


def layer(
    spec: Spec, gains: Gains, residual: Residual, tasks: list[Task], feature_map: FeatureMap | None
) -> LayerWeights:
    """The weights of Fetch."""
    heads = banks(_heads(spec, gains, residual, tasks), spec.K, spec.K, residual, spec.dtype)
    return LayerWeights("fetch", heads, Support.QUERY)


def _heads(spec: Spec, gains: Gains, residual: Residual, tasks: list[Task]) -> Iterator[Head]:
    L = spec.example_bits + spec.slot_bits
    query = position_code(spec.m, spec.example_bits) @ residual["e"]
    for task, code in zip(tasks, task_codes(spec.K), strict=True):
        # At BOS the codes are 0, so the fold leaves -T L there; adding T L back makes the whole
        # reading 0 at BOS.
        place = (
            query
            + position_code(task.slot, spec.slot_bits) @ residual["s"]
            - L * (residual["one"] - residual["bos"])
        )
        yield Head(
            terms=(Term("place", residual["one"], gains.T * place), *gate(gains, residual, code)),
            value=residual["f"],
            out=residual["f"].T,
        )


def gate(gains: Gains, residual: Residual, code: Float[np.ndarray, "2"]) -> tuple[Term, ...]:
    """The score of BOS that opens a head to labels committed to the task with this code, and to no
    other token.

    Relative to a winner at 0: -T for the own code, +T for any other code, at least +2T for a token
    that is no committed label.
    """
    # A committed label has <z, c_i> >= 1 - zeta for its own task and <= 1 - gap + zeta for any
    # other; G (gap - 2 zeta) = 2T. Each condition has a row of its own: at a committed label the
    # last two are exactly 0, whatever their gain.
    one = residual["one"]
    return (
        to_bos(residual, "threshold", -gains.threshold * one),
        to_bos(residual, "code", gains.G * (one - code @ residual["z"])),
        to_bos(residual, "abstain", gains.abstain * (one - residual["ok"])),
        to_bos(residual, "label", gains.elsewhere * (one - residual["lab"])),
    )
