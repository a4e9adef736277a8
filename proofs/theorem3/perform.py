"""What Lemmas 3 to 5 share: the error that one gate adds at the answer token.

The answer's y is a sum of c sigma(a (w_i - 1/2)) v_i over gates and tasks, v_i = W_i x + b_i. A
    gate errs by |c| a/4 per unit of error in w, and of error of the score; K R |c| sigma gamma for
    rounding: the weight, the products, the sum over K heads, and the sum onto the stream; K |c|
    sigma times the rounding of v_i, which is the same in all three layers (the same product of the
    same numbers): after the last, where the gates sum to F(w_i), what remains of it is F(w_i) of
    it, and sum_i |F(w_i)| is about 1; K R |c| N e^-2T for other keys.
"""

import math
from dataclasses import replace

from construct.theorem3.gains import gate_roundings
from proofs.selection import Errors, Setting


def output_rounding(setting: Setting, before: Errors) -> float:
    """How far a value W_i x + b_i can be off, in max norm: the rounding of x, and one dot
    product."""
    spec = setting.spec
    return spec.weight_norm * before.x + setting.output_rounding(before.x, 0.0)


def add_gate(setting: Setting, before: Errors, gate: int) -> Errors:
    """The errors after the layer with this gate: `output` without the values' common rounding, y
    with it."""
    spec, gains = setting.spec, setting.gains
    layer = ("balance", "open", "correct")[gate]
    c, slope = abs(gains.series.c[gate]), gains.series.slopes[gate]
    sigma = 1 / (1 + math.exp(-slope / 2 * (1 + before.w)))
    score = gains.error(layer) if setting.rounds else 0.0
    value = spec.radius + output_rounding(setting, before)
    weights = c / 4 * (slope * before.w + spec.K * score)
    stray = spec.K * c * 2 * setting.far(layer)
    rounded = spec.K * c * sigma * setting.gamma(gate_roundings(spec, gains.hard))
    output = before.output + (weights + stray + rounded) * value
    common = (
        sum(abs(c) for c in gains.series.c[: gate + 1]) * spec.K * output_rounding(setting, before)
    )
    return replace(
        before, y=max(before.y, setting.stored(spec.radius), output + common), output=output
    )
