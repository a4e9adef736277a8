"""Weights made wrong, to see that a theorem's checks fail on them."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from flax import nnx

from construct import Prompt, Transformer
from construct.layers import in_dtype
from verify.check import Lemma, check_lemmas
from verify.draw import Instance
from verify.record import Theorem


def lemmas(theorem: Theorem, instance: Instance, prompt: Prompt, model: Transformer) -> list[Lemma]:
    """Every layer's lemma on a prompt."""
    return check_lemmas(theorem, model, instance.tasks, prompt, instance.feature_map)


def damaged(
    model: Transformer, layer: str, matrix: str, change: Callable[[np.ndarray], np.ndarray]
) -> Transformer:
    """A copy of a model in which one matrix of the first bank of a layer is changed."""
    copy = nnx.clone(model)
    bank = copy.layer(layer).banks[0]
    old = getattr(bank, matrix)
    with in_dtype(model.spec.dtype):
        setattr(bank, matrix, nnx.Param(jnp.asarray(change(np.array(old[...])), old[...].dtype)))
    return copy
