"""Weights made wrong, to see that a theorem's checks fail on them."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from flax import nnx

from construct import Transformer
from construct.layers import in_dtype


def damaged(
    model: Transformer,
    layer: str,
    matrix: str,
    change: Callable[[np.ndarray], np.ndarray],
    bank: int = 0,
) -> Transformer:
    """A copy of a model in which one matrix of a layer is changed: W_Q .. W_O of a bank of its
    heads, or W_1, W_2 and W_3 of its MLP."""
    copy = nnx.clone(model)
    struck = copy.layer(layer)
    part = struck.mlp if matrix in ("W_1", "W_2", "W_3") else struck.banks[bank]
    old = getattr(part, matrix)[...]
    with in_dtype(model.spec.dtype):
        setattr(part, matrix, nnx.Param(jnp.asarray(change(np.array(old)), old.dtype)))
    return copy
