"""A causal stack that goes on: what does not change is run once, and every new token alone after
it.

A token sees the tokens before it, so its keys and values in each layer never change. `encode` keeps
those of the examples; `advance` runs new tokens of the query's line, which see them and the line so
far. Scores and sums are those of the dense evaluator, over all cached keys.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from construct.evaluate.dense import apply_layer, product, transform, weigh, write
from construct.evaluate.supports import GATHERS
from construct.layers import Heads, Layer, Stack, remembered


class Pairs(NamedTuple):
    """A bank's keys (H, N, rank), and its values with a 1 beside them (H, N, v + 1), which sums the
    weights."""

    keys: Array
    values: Array


# By layer and bank; None where the bank moves nothing.
Banks = tuple[tuple[Pairs | None, ...], ...]


class Cache(NamedTuple):
    """The keys and values of the tokens that do not change, and which of them are real."""

    pairs: Banks
    real: Bool[Array, "N"]


def moving(stack: Stack) -> tuple[tuple[bool, ...], ...]:
    """By layer and bank, whether it moves anything: what was built idle, and still is, does not."""

    def moves(bank: Heads) -> bool:
        return not bank.idle or bool(np.any(bank.W_V[...]) or np.any(bank.W_O[...]))

    return remembered(
        stack,
        ("moving",),
        lambda: tuple(tuple(moves(bank) for bank in layer.banks) for layer in stack.layers),
    )


def _pairs(bank: Heads, stream: Float[Array, "N D"]) -> Pairs:
    values = product("nd,hvd->hnv", stream, bank.W_V[...])
    ones = jnp.ones((*values.shape[:2], 1), values.dtype)
    keys = product("nd,had->hna", stream, bank.W_K[...])
    return Pairs(keys, jnp.concatenate([values, ones], axis=-1))


def encode(
    layers: Iterable[Layer],
    stream: Float[Array, "N D"],
    real: Bool[Array, "N"],
    moves: Sequence[Sequence[bool]],
    see: Callable[[Layer, Array], None] | None = None,
) -> Cache:
    """Run tokens and keep their keys and values; the last layer, which nobody reads of them, makes
    no more. see(layer, the stream after it) is told of the others."""
    layers, kept = list(layers), []
    for layer, busy in zip(layers, moves, strict=True):
        kept.append(
            tuple(
                _pairs(bank, stream) if moving else None
                for bank, moving in zip(layer.banks, busy, strict=True)
            )
        )
        if layer is not layers[-1]:
            stream = apply_layer(layer, stream, real) if any(busy) else transform(layer, stream)
            if see is not None:
                see(layer, stream)
    return Cache(tuple(kept), real)


def fresh(cache: Cache, count: int) -> Banks:
    """Room for the keys and values of `count` new tokens."""
    return jax.tree.map(
        lambda part: jnp.zeros((part.shape[0], count, part.shape[2]), part.dtype), cache.pairs
    )


def advance(
    layers: Iterable[Layer],
    cache: Cache,
    line: Banks,
    tokens: Float[Array, "q D"],
    at: Int[Array, ""] | int,
) -> tuple[Float[Array, "q D"], Banks]:
    """Run new tokens at places `at` and on of the line: their stream after the last layer, and the
    line's keys and values with theirs among them."""
    kept = []
    for layer, cached, held in zip(layers, cache.pairs, line, strict=True):
        after, now = tokens, []
        for bank, old, own in zip(layer.banks, cached, held, strict=True):
            if old is None or own is None:
                now.append(None)
                continue
            own = Pairs(
                *(
                    jax.lax.dynamic_update_slice(room, part, (0, at, 0))
                    for room, part in zip(own, _pairs(bank, tokens), strict=True)
                )
            )
            now.append(own)
            after = after + _attend(layer, bank, tokens, old, cache.real, own, at)
        kept.append(tuple(now))
        tokens = transform(layer, after)
    return tokens, tuple(kept)


def _attend(
    layer: Layer,
    bank: Heads,
    tokens: Float[Array, "q D"],
    old: Pairs,
    real: Bool[Array, "N"],
    own: Pairs,
    at: Any,
) -> Float[Array, "q D"]:
    asked = product("qd,had->hqa", tokens, bank.W_Q[...])
    before = jnp.where(real, product("hqa,hka->hqk", asked, old.keys), -jnp.inf)
    seen = jnp.arange(own.keys.shape[1]) <= at + jnp.arange(len(tokens))[:, None]
    here = jnp.where(seen, product("hqa,hka->hqk", asked, own.keys), -jnp.inf)
    top = jnp.maximum(before.max(-1, keepdims=True), here.max(-1, keepdims=True))
    summed = weigh(jnp.exp(before - top), old.values, layer.support in GATHERS)
    summed = summed + product("hqk,hkv->hqv", jnp.exp(here - top), own.values)
    moved, total = summed[..., :-1], summed[..., -1:]
    # As in the dense evaluator: without the barrier XLA multiplies by a rounded reciprocal.
    divisor = jax.lax.optimization_barrier(jnp.broadcast_to(total, moved.shape))
    return write(moved / divisor, bank.W_O[...], layer.many_heads)
