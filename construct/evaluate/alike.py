"""Layers padded with zeros to one shape, so that one program runs them all: XLA then compiles one
layer and not each.

Zeros add nothing to a score, a value or a sum, so every layer does what it does by itself, up to
the order in which sums are rounded. Padding costs time where matrices are large; there each layer
stays by itself.
"""

from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from construct.evaluate.dense import Bank, Seen, attend, feed, joined, padded
from construct.layers import Layer
from construct.readout import Leaf

# Bytes, about what a core's cache holds. A matter of speed alone.
CACHE = 1 << 20


class Alike(NamedTuple):
    """Layers of one shape, each array with one of them a row.

    causal: which layers are. gated: which layers' MLPs have a gate. W_1 and W_2 are None where no
    layer has an MLP, W_3 where none has a gate.
    """

    bank: Bank
    causal: Leaf  # (layers,)
    gated: Leaf  # (layers,)
    W_1: Leaf  # (layers, w, D)
    W_2: Leaf  # (layers, D, w)
    W_3: Leaf  # (layers, w, D)


class Run(NamedTuple):
    """What layers did, each array with one of them a row: the stream after their attention and
    after them, and what their heads did."""

    middles: Leaf  # (layers, N, D)
    streams: Leaf  # (layers, N, D)
    seen: Seen


def alike(layers: Sequence[Layer], xp: ModuleType = jnp) -> Alike:
    """Layers as rows of one shape; xp: NumPy on the host, where it compiles nothing."""
    banks = [joined(layer.banks, xp) for layer in layers]
    D, dtype = banks[0].W_K.shape[2], banks[0].W_K.dtype

    def stacked(parts: Iterable[Any]) -> Any:
        return xp.stack(padded(list(parts), 0, xp))

    mlps = [{} if layer.mlp is None else layer.mlp.matrices for layer in layers]
    width = max((len(mlp["W_1"]) for mlp in mlps if mlp), default=0)

    def matrix(name: str, shape: tuple[int, int]) -> Any:
        blank = xp.zeros(shape, dtype)
        found = [mlp[name][...] if name in mlp else blank for mlp in mlps]
        return stacked(found) if any(name in mlp for mlp in mlps) else None

    return Alike(
        Bank(*(stacked(parts) for parts in zip(*banks, strict=True))),
        np.array([layer.causal for layer in layers]),
        np.array(["W_3" in mlp for mlp in mlps]),
        matrix("W_1", (width, D)),
        matrix("W_2", (D, width)),
        matrix("W_3", (width, D)),
    )


def small(layers: Sequence[Layer], tokens: int) -> bool:
    """Whether a layer's padded weights, and its scores on so many tokens, fit a core's cache: there
    padding, and a loop over layers, cost less than it takes to compile each layer."""
    banks = [bank for layer in layers for bank in layer.banks]
    D, heads = banks[0].W_K.shape[2], layers[0].heads
    rank, v = max(bank.W_K.shape[1] for bank in banks), max(bank.W_V.shape[1] for bank in banks)
    width = max(0 if layer.mlp is None else layer.mlp.W_1.shape[0] for layer in layers)
    largest = max(D * (2 * heads * (rank + v) + 3 * width), heads * tokens**2)
    return largest * banks[0].W_K.dtype.itemsize <= CACHE


def run(
    layers: Alike,
    stream: Float[Array, "N D"],
    real: Bool[Array, "N"],
    ties: Float[Array, "layers 2"],
    keep: bool,
    many_winners: bool = True,
    many_heads: bool = True,
) -> tuple[Float[Array, "N D"], Run]:
    """Run layers of one shape: the stream after the last, and what each did.

    ties, by layer, and the rest: as in `dense.attend`. Sums go in blocks unless no layer needs it:
    where few keys win and few heads move something, all other summands are exactly 0.
    """

    def one(stream: Array, part: tuple[Alike, Array]) -> tuple[Array, Run]:
        layer, tie = part
        out, seen = attend(
            layer.bank,
            stream,
            stream,
            real,
            causal=layer.causal,
            many_winners=many_winners,
            many_heads=many_heads,
            tie=tie,
            keep=keep,
        )
        middle = after = stream + out
        if layer.W_1 is not None:
            after = feed(middle, layer.W_1, layer.W_2, layer.W_3, layer.gated)
        assert seen is not None, "a tie was given"
        return after, Run(middle, after, seen)

    return jax.lax.scan(one, stream, (layers, ties))
