"""Layer 1, Recognize: an answer vector fetches its line's inputs, and says how much it agrees with
every task. Realizes Lemma 1 on vectors.

    heads       : those of words
    gated MLP   : w_i += relu(z) (W_i^(u) own[p_i])_a - relu(-z') (W_i^(u) own[p_i])_a,
                  z = v_a - 2 (one - a_u) - 2 soft,  z' = v_a + 2 (one - a_u) + 2 soft

over coordinates a, and u = 1..L; v is the content. At the u-th vector of a line the two units pass
on v_a, whatever its sign, and all others are shut, since |v_a| < 2: w_i = <v, W_i^(u) own[p_i]>,
which is 1 - r^2/2 for unit vectors r apart. A soft vector agrees with nobody: w = 0.
"""

import numpy as np

from construct.heads import banks
from construct.layers import LayerWeights, MLPWeights, Support
from construct.residual import Residual
from construct.spec import Spec
from construct.theorem4.layer1_recognize import fetch
from construct.theorem4.vectors.gains import Gains
from construct.vectors import VectorTask


def layer(spec: Spec, gains: Gains, residual: Residual, tasks: list[VectorTask]) -> LayerWeights:
    """The weights of Recognize."""
    slots = sorted({task.slot for task in tasks})
    return LayerWeights(
        "recognize",
        banks(fetch(spec, gains, residual, slots), len(slots), spec.K, residual, spec.dtype),
        Support.EXAMPLE,
        _agree(spec, residual, tasks),
        causal=True,
    )


def _agree(spec: Spec, residual: Residual, tasks: list[VectorTask]) -> MLPWeights:
    # A gate of a coordinate of v of either sign, for each task and place.
    d, shape = spec.d, (spec.K, spec.L, 2, spec.d, residual.dim)
    W_1, W_3, W_2 = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for u in range(spec.L):
        shut = 2 * (residual["one"] - residual[f"a{u + 1}"] + residual["soft"])
        W_1[:, u, 0], W_1[:, u, 1] = residual["x"] - shut, -residual["x"] - shut
    for i, task in enumerate(tasks):
        own = slice(task.slot * d, (task.slot + 1) * d)
        for u, matrix in enumerate(task.matrices):
            W_3[i, u] = matrix @ residual["own"][own]
        W_2[i, :, 0], W_2[i, :, 1] = residual["w"][i], -residual["w"][i]
    return gated(residual, spec.dtype, W_1, W_3, W_2)


def gated(
    residual: Residual, dtype: str, gate: np.ndarray, content: np.ndarray, out: np.ndarray
) -> MLPWeights:
    """The gated MLP of units in an array of any shape (..., D): what opens each, what it passes on,
    and where it writes that."""
    W_1, W_3, W_2 = (part.reshape(-1, residual.dim).astype(dtype) for part in (gate, content, out))
    return MLPWeights(W_1=W_1, W_2=W_2.T, W_3=W_3)
