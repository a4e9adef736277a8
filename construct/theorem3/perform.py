"""Perform: head i of the answer token opens to the query's slot p_i by a gate of its task's weight
w_i.

    score(k)    = P (<code(m), e_k> + <code(p_i), s_k> - L) + a (w_i - 1/2)_q inp_k
                                                                    for k other than BOS
    BOS         : (2T + a) (one - qry + inp)_q                      0 at the answer token
    value       = c (W_i x + b_i inp) -> y

The gate is the softmax between BOS and that one token, sigma(a (w_i - 1/2)); its term is left out
where a = 0. Three layers differ in a and c alone; the values are computed in the same way from the
same x in all three, so that their rounding is common and not amplified.
"""

from collections.abc import Iterator

import numpy as np

from construct.heads import Head, Term, banks
from construct.layers import LayerWeights, Support
from construct.residual import Residual, position_code
from construct.scores import to_bos
from construct.spec import Spec
from construct.tasks import Task
from construct.theorem3.gains import Gains


def perform(
    name: str, gate: int, spec: Spec, gains: Gains, residual: Residual, tasks: list[Task]
) -> LayerWeights:
    """The weights of the layer whose heads are the series' gate of that number, from 0."""
    heads = banks(_heads(gate, spec, gains, residual, tasks), spec.K, spec.K, residual, spec.dtype)
    return LayerWeights(name, heads, Support.QUERY, causal=True, many_heads=True)


def _heads(
    gate: int, spec: Spec, gains: Gains, residual: Residual, tasks: list[Task]
) -> Iterator[Head]:
    # The query's slot p_i scores exactly 0 in position, everything else but BOS -2P or less: behind
    # both winners by 2T.
    one, slope, c = residual["one"], gains.series.slopes[gate], gains.series.c[gate]
    here = position_code(spec.m, spec.example_bits) @ residual["e"] - (
        spec.example_bits + spec.slot_bits
    ) * (one - residual["bos"])
    for i, task in enumerate(tasks):
        place = here + position_code(task.slot, spec.slot_bits) @ residual["s"]
        weight = residual["w"][i : i + 1] - one / 2
        gated = (Term("weight", slope * weight, residual["inp"]),) if slope else ()
        yield Head(
            terms=(
                Term("place", one, gains.place * place),
                *gated,
                to_bos(
                    residual,
                    "idle",
                    (2 * gains.T + slope) * (one - residual["qry"] + residual["inp"]),
                ),
            ),
            value=task.weight @ residual["x"] + np.outer(task.bias, residual["inp"]),
            out=c * residual["y"].T,
        )
