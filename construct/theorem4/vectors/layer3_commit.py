"""Layer 3, Commit: which tasks say all of a line so far, and whether exactly one says the whole
answer. Realizes Lemma 3 on vectors.

    score_i(q, k) = T (<e_q, e_k> + <s_q, s_k>)                head i = 0..K-1
    BOS           : T L' + lambda (theta - g_i)_q,  L' position bits,
                    theta = one - (rho^2 + delta^2)/4 sum_t a_t/(t + 1)
    value         = a_0 + ... + a_L -> said_i
    MLP           : c_i = 2 relu(said_i - 1/4) - 2 relu(said_i - 3/4)
                    ok  = trapezoid(n),  n = said_1 + ... + said_K - (K + 1) (one - a_L)

A token attends to itself where g_i is above the threshold of its place, and to BOS where it is
below, by T either way: a softmax decides what a mean of real numbers says. c is exactly 0 or 1,
also where the softmax leaks.
"""

from collections.abc import Iterator

import numpy as np

from construct.heads import Head, Term, banks
from construct.layers import LayerWeights, MLPWeights, Support
from construct.residual import Residual
from construct.scores import same_token, to_bos
from construct.spec import Spec
from construct.theorem4.vectors.gains import Gains, middle
from construct.vectors import VectorTask


def layer(spec: Spec, gains: Gains, residual: Residual, tasks: list[VectorTask]) -> LayerWeights:
    """The weights of Commit."""
    return LayerWeights(
        "commit",
        banks(_heads(spec, gains, residual), spec.K, spec.K, residual, spec.dtype),
        Support.SELF,
        _clean(spec, residual),
        causal=True,
    )


def _heads(spec: Spec, gains: Gains, residual: Residual) -> Iterator[Head]:
    # Other tokens miss a position bit: 2T behind the token itself. Inputs, with g = 0 and theta =
    # 1, read BOS.
    T, bits, least = gains.T, spec.example_bits + spec.slot_bits, residual["one"]
    flags = [residual[f"a{t}"] for t in range(spec.L + 1)]
    for t, flag in enumerate(flags):
        least = least - middle(spec) / (t + 1) * flag
    for i in range(spec.K):
        yield Head(
            terms=(
                same_token(spec, residual, T),
                to_bos(residual, "bos", T * bits * residual["one"]),
                Term("threshold", gains.decide * (least - residual["g"][i]), residual["bos"]),
            ),
            value=np.sum(flags, axis=0),
            out=residual["said"][i : i + 1].T,
        )


def _clean(spec: Spec, residual: Residual) -> MLPWeights:
    # Near 1 both units of a c are exact in floats, and 1/2 apart.
    one, last, said = residual["one"], residual[f"a{spec.L}"], residual["said"]
    count = np.ones((1, spec.K)) @ said - (spec.K + 1) * (one - last)
    corners = np.array([[1 / 4], [3 / 4], [5 / 4], [7 / 4]])
    slopes = np.array([[2.0, -2.0, -2.0, 2.0]])
    return MLPWeights(
        W_1=np.concatenate([said - one / 4, said - 3 * one / 4, count - corners * one]).astype(
            spec.dtype
        ),
        W_2=np.concatenate(
            [2 * residual["c"], -2 * residual["c"], slopes.T @ residual["ok"]]
        ).T.astype(spec.dtype),
    )
