"""Layer 2, Consistency: at every word of a line, which tasks say all of it so far. Realizes Lemma
2.

    score(q, k) = T <e_q, e_k> + T (a_0 + ... + a_L)_k      a token sees no token after it
    BOS         : T |e| + 3T (one - a_0 - ... - a_L)_q
    value       = w + a_0 (1, ..., 1) -> g
    MLP         : c_i = 2L' relu(g_i - 1 + 3/(4L')) - 2L' relu(g_i - 1 + 1/(4L')),  L' = 2^k > L

The arrow and the words up to the own one tie, so g_i is the mean of 1 and of w_i over the words so
far: 1 if task i says all of them, and at most 1 - 1/(L + 1) if not. One head; the others are idle.
"""

import numpy as np
from jaxtyping import Float

from construct.heads import Head, Term, banks
from construct.layers import LayerWeights, MLPWeights, Support
from construct.residual import Residual
from construct.scores import same_example, to_bos
from construct.spec import Spec
from construct.theorem4.gains import Gains, LineGains
from construct.words import WordTask


def layer(spec: Spec, gains: Gains, residual: Residual, tasks: list[WordTask]) -> LayerWeights:
    """The weights of Consistency."""
    return LayerWeights(
        "consistency",
        banks(
            [mean_of_line(spec, gains, residual, residual["a0"])], 1, spec.K, residual, spec.dtype
        ),
        Support.EXAMPLE,
        _all_said(spec, gains, residual),
        causal=True,
    )


def mean_of_line(
    spec: Spec, gains: LineGains, residual: Residual, counts: Float[np.ndarray, "1 D"]
) -> Head:
    """The head by which an arrow or a word averages w over its line so far; where `counts` reads 1,
    a token counts as said by every task."""
    # Behind the tied arrow and words by T: the line's inputs and BOS, which hold w = 0. By 2T:
    # arrows and words of other lines.
    T, one = gains.T, residual["one"]
    asks = np.sum([residual[f"a{u}"] for u in range(spec.L + 1)], axis=0)
    return Head(
        terms=(
            same_example(residual, T),
            Term("said", T * one, asks),
            to_bos(residual, "bos", T * spec.example_bits * one),
            to_bos(residual, "elsewhere", 3 * T * (one - asks)),
        ),
        value=residual["w"] + np.ones((spec.K, 1)) @ counts,
        out=residual["g"].T,
    )


def _all_said(spec: Spec, gains: Gains, residual: Residual) -> MLPWeights:
    # In floats too c is exactly 1: near g = 1 both units are exact, and they are 1/(2L') apart.
    scale = gains.scale
    corners = [1 - 3 / (4 * scale), 1 - 1 / (4 * scale)]
    return MLPWeights(
        W_1=np.concatenate([residual["g"] - corner * residual["one"] for corner in corners]).astype(
            spec.dtype
        ),
        W_2=np.concatenate([2 * scale * residual["c"], -2 * scale * residual["c"]]).T.astype(
            spec.dtype
        ),
    )
