"""Attention on a declared support: scores, softmax and values at those keys alone, from the blocks
of the stored weights.

Tokens come in classes (BOS, the inputs of an example, its label, ...). A class of keys is either
the query token itself (`own`) or all tokens of that class in the query token's group, or in the
only one. Scores are (H, query slots, key slots, groups), with 1 where all agree. The softmax over
several classes is taken class by class and put together: a key's weight is its share of its class,
times the share of the class.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from construct.evaluate.blocks import Block, Mixed, Stream, Values, apply, dense, product
from construct.evaluate.plan import BankPlan, LayerPlan, TermPlan

Scores = Float[Array, "#H #q #k #g"]

# How to score the sketched term in full only where it matters: (term, the other terms' score, the
# scores of the other classes of keys, the query tokens' stream) -> the score. See
# `construct.evaluate.screening`.
Screen = Callable[[TermPlan, Scores, Sequence[Scores], Stream], Scores]

CODE = "e"  # the +-1 code of a token's example; the certificate refuses weights that write to it


@partial(jax.tree_util.register_dataclass, data_fields=["stream"], meta_fields=["slots"])
@dataclass(frozen=True)
class Tokens:
    """A class of tokens: `slots` of them in every group."""

    stream: Stream
    slots: int

    def read(self, name: str, size: int) -> Float[Array, "size #slots #groups"]:
        """A subspace of that size; zeros where nothing was ever written to it."""
        some = dense(next(iter(self.stream.values())))
        return (
            dense(self.stream[name]) if name in self.stream else jnp.zeros((size, 1, 1), some.dtype)
        )

    def holding(self, name: str, values: Values) -> "Tokens":
        """These tokens with something else in a subspace."""
        return replace(self, stream={**self.stream, name: values})

    def plus(self, more: Stream) -> "Tokens":
        """These tokens with more added to their stream."""
        stream = dict(self.stream)
        for name, values in more.items():
            stream[name] = dense(stream[name]) + dense(values) if name in stream else values
        return replace(self, stream=stream)


class Keys(NamedTuple):
    """A class of key tokens by its `name`; `own`: each query token sees only itself among them;
    `causal`: only itself and those before."""

    name: str
    tokens: Tokens
    own: bool = False
    causal: bool = False


class Weights(NamedTuple):
    """Softmax weights of a class of keys: `within` the class (None: a single key has all of it),
    times the class' `share`."""

    within: Scores | None
    share: Float[Array, "H #q #g"]


class Part(NamedTuple):
    """What heads move by one block of W_V from one class of keys: the block, what those keys hold
    in its subspace, their weights, whether each query token sees itself alone, and what was made
    beforehand (see `construct.evaluate.plan.Fixed`; None: nothing)."""

    block: Block
    values: Values
    weight: Weights
    own: bool
    fixed: Float[Array, "H v k 1"] | None

    def values_by_head(self) -> Float[Array, "#H v #k #g"]:
        """The block times what every key holds."""
        return self.block(self.values) if self.own or self.fixed is None else self.fixed

    def basis_by_head(self, values: Mixed) -> Float[Array, "H v k"]:
        """The block times the vectors of which every key holds a mixture."""
        fixed = self.block(values.basis[:, :, None]) if self.fixed is None else self.fixed
        return fixed[..., 0]


def fixed_values(bank: BankPlan, vectors: Stream) -> dict[str, Float[Array, "H v k 1"]]:
    """What a bank's heads make of a few vectors, by subspace, each by a matrix of its own."""
    return {name: block(vectors[name]) for name, block in bank.matrices.items() if name in vectors}


def term_score(term: TermPlan, query: Tokens, keys: Keys) -> Scores | None:
    """One term's score of a class of keys; None if a side of it reads nothing there."""
    if _same_code(term, query, keys):
        return (term.query[CODE].data * term.key[CODE].data).sum(1)[:, None, None, None]
    if keys.own and term.factor is not None:
        k = apply(term.key, keys.tokens.stream)
        return None if k is None else (term.factor[:, None, None] * (k * k).sum(1))[:, :, None]
    q, k = apply(term.query, query.stream), apply(term.key, keys.tokens.stream)
    if q is None or k is None:
        return None
    return (q * k).sum(1)[:, :, None] if keys.own else (q[:, :, :, None] * k[:, :, None]).sum(1)


def _same_code(term: TermPlan, query: Tokens, keys: Keys) -> bool:
    """Whether a term multiplies an example's index with itself, bit by bit: the bits are +-1, and
    their squares 1."""
    if set(term.query) != {CODE} or set(term.key) != {CODE} or CODE not in query.stream:
        return False
    same = query.stream[CODE] is keys.tokens.stream.get(CODE)
    return same and term.query[CODE].run is not None and term.query[CODE].run == term.key[CODE].run


def score(terms: Sequence[TermPlan], query: Tokens, keys: Keys, count: int | None = None) -> Scores:
    """The scores of one class of keys, the sum of the terms that read something on both sides;
    `count` heads if given."""
    parts = [part for part in (term_score(term, query, keys) for term in terms) if part is not None]
    if parts:
        total = sum(parts[1:], parts[0])
    else:
        total = jnp.zeros((1, 1, 1, 1), dense(next(iter(query.stream.values()))).dtype)
    slots = 1 if keys.own else keys.tokens.slots
    total = jnp.broadcast_to(
        total, (count or total.shape[0], total.shape[1], slots, total.shape[3])
    )
    if keys.causal and slots > 1:
        return jnp.where(jnp.tri(slots, dtype=bool)[:, :, None], total, -jnp.inf)
    return total


def softmax(scores: Sequence[Scores]) -> list[Weights]:
    """The softmax weights over several classes of keys together."""
    tops = [one.max(2) for one in scores]
    parts = [
        None if one.shape[2] == 1 else jnp.exp(one - top[:, :, None])
        for one, top in zip(scores, tops, strict=True)
    ]
    best = tops[0]
    for top in tops[1:]:
        best = jnp.maximum(best, top)
    if len(tops) == 2:  # one share is exp(0) = 1; NaN stays NaN
        less = jnp.exp(-jnp.abs(tops[0] - tops[1]))
        shares = [jnp.where(top >= best, 1, less) for top in tops]
    else:
        shares = [jnp.exp(top - best) for top in tops]
    whole = [1 if part is None else part.sum(2) for part in parts]
    total = sum(share * sums for share, sums in zip(shares, whole, strict=True))
    return [Weights(part, share / total) for part, share in zip(parts, shares, strict=True)]


def attend(
    layer: LayerPlan, query: Tokens, keys: Sequence[Keys], screen: Screen | None = None
) -> tuple[Stream, list[list[Scores]]]:
    """What a layer's heads add to a class of query tokens, and their scores by bank and class of
    keys.

    Where no key has a value the heads add exactly 0, and scores that nobody asks for are compiled
    away.
    """
    out: dict[str, Values] = {}
    seen = []
    for bank in layer.banks:
        # Computed once: without the barriers XLA repeats the sums of squares inside everything that
        # reads a score.
        scores = jax.lax.optimization_barrier(_scores(bank, query, keys, screen))
        weights = jax.lax.optimization_barrier(softmax(scores))
        for name, values in _all_heads(bank, _move(bank, weights, keys)).items():
            out[name] = dense(out[name]) + dense(values) if name in out else values
        seen.append(scores)
    return out, seen


def _scores(
    bank: BankPlan, query: Tokens, keys: Sequence[Keys], screen: Screen | None
) -> list[Scores]:
    term = next((term for term in bank.terms if term.sketch is not None), None)
    if (
        screen is None
        or term is None
        or not keys[0].own
        or len(keys) < 2
        or apply(term.key, query.stream) is None
    ):
        return [score(bank.terms, query, one, bank.count) for one in keys]
    others = [score(bank.terms, query, one, bank.count) for one in keys[1:]]
    rest = score([one for one in bank.terms if one is not term], query, keys[0])
    return [screen(term, rest, others, query.stream), *others]


def _move(bank: BankPlan, weights: Sequence[Weights], keys: Sequence[Keys]) -> Stream:
    """sum_h W_O sum_k weight_hk (W_V h_k). Heads are summed before W_O where they all write
    alike."""
    parts = [
        Part(
            block,
            one.tokens.stream[name],
            weight,
            one.own,
            bank.fixed.get((one.name, one.own), {}).get(name),
        )
        for weight, one in zip(weights, keys, strict=True)
        for name, block in bank.value.items()
        if name in one.tokens.stream
    ]
    if not parts:
        return {}
    if not bank.alike:
        moved = [_by_head(part) for part in parts]
        return write(bank, sum(moved[1:], moved[0]))
    if len(parts) == 1 and (mixed := _mixture(parts[0])) is not None:
        return {
            name: Mixed(block(mixed.basis[:, :, None])[0, :, :, 0], mixed.weight)
            for name, block in bank.out.items()
        }
    summed = [_summed(part) for part in parts]
    value = sum(summed[1:], summed[0])
    return {name: block(value)[0] for name, block in bank.out.items()}


def _all_heads(bank: BankPlan, moved: Stream) -> Stream:
    """What heads on all devices move, from what this device's heads do."""
    if bank.axis is None:
        return moved
    # Where a device has one head alone, that head's block counts as shared though other devices'
    # differ: the basis of such a mixture is not theirs, so it is summed out before they are added.
    mixed = {
        name: values
        for name, values in moved.items()
        if isinstance(values, Mixed) and bank.count > 1
    }
    total = jax.lax.psum(
        {name: mixed[name].weight if name in mixed else dense(moved[name]) for name in moved},
        bank.axis,
    )
    return {
        name: Mixed(mixed[name].basis, part) if name in mixed else part
        for name, part in total.items()
    }


def write(bank: BankPlan, moved: Float[Array, "#H v #q #g"]) -> Stream:
    """W_O, summed over the heads."""
    if bank.alike:
        return {name: block(moved.sum(0))[0] for name, block in bank.out.items()}
    return {
        name: product("hov,hvqg->oqg", block.full(bank.width), moved)
        for name, block in bank.out.items()
    }


def _mixture(part: Part) -> Mixed | None:
    """All heads read the same few keys by the same block: what arrives is a mixture of those, and
    is left as one."""
    block, values, weight, own, _ = part
    x = dense(values)
    if not block.shared or own or x.shape[2] > 1 or weight.share.shape[2] == 1:
        return None
    keys = 1 if weight.within is None else weight.within.shape[2]
    basis = block(jnp.broadcast_to(x, (x.shape[0], keys, 1)))[0, :, :, 0]
    return Mixed(basis, _mix_keys(weight))


def _mix_keys(weight: Weights) -> Float[Array, "k #q #g"]:
    """sum_h of the weight of each key, all heads together."""
    if weight.within is None:
        # Written as a product of matrices, which XLA computes once. A sum it would fuse into what
        # reads it, and repeat there for every coordinate.
        return product("h,hqg->qg", jnp.ones(len(weight.share), weight.share.dtype), weight.share)[
            None
        ]
    if weight.within.shape[3] == 1 and weight.within.shape[1] == 1:
        heads = len(weight.share)
        return product(
            "hk,hqg->kqg",
            jnp.broadcast_to(weight.within[:, 0, :, 0], (heads, weight.within.shape[2])),
            weight.share,
        )
    return jnp.moveaxis((weight.within * weight.share[:, :, None]).sum(0), 1, 0)


def _summed(part: Part) -> Float[Array, "v #q #g"]:
    """sum over heads and keys of weight (block x)."""
    block, values, weight, own, _ = part
    if block.shared:  # mix the keys first: one product for all heads
        mixed = jax.lax.optimization_barrier(_mix_keys(weight))
        x = dense(values)
        if own:
            return block(mixed[0] * x)[0]
        return block((mixed[None] * x[:, :, None]).sum(1))[0]
    if own and isinstance(values, Mixed):  # the block meets the few basis vectors, not every token
        basis = part.basis_by_head(values)
        # One product over heads and basis vectors together. Each pair's share is made first, and
        # apart: XLA would fuse a sum over one of them with all that follows, and take several times
        # as long over it.
        share = jax.lax.optimization_barrier(weight.share[:, None] * values.weight[None])
        return product("hvk,hkqg->vqg", basis, share)
    v = part.values_by_head()
    if v.shape[2] == v.shape[3] == 1 and weight.within is None:
        return product("hv,hqg->vqg", v[:, :, 0, 0], weight.share)
    if (
        not own
        and weight.within is not None
        and weight.within.shape[1] == 1
        and v.shape[3] == weight.within.shape[3] == 1
    ):
        return product(
            "hv,hqg->vqg", (weight.within[:, 0, None, :, 0] * v[..., 0]).sum(2), weight.share
        )
    return _by_head(part).sum(0)


def _by_head(part: Part) -> Float[Array, "#H v #q #g"]:
    v, weight, own = part.values_by_head(), part.weight, part.own
    if own or weight.within is None:
        return weight.share[:, None] * v
    return (weight.within[:, None] * weight.share[:, None, :, None] * v[:, :, None]).sum(3)


def mlp(layer: LayerPlan, tokens: Tokens) -> Tokens:
    """The residual ReLU MLP; a layer without one, or that reads nothing of these tokens, leaves
    them as they are."""
    hidden = apply(layer.W_1, tokens.stream)
    if hidden is None:
        return tokens
    hidden = jax.nn.relu(hidden[0])
    return tokens.plus({name: block(hidden)[0] for name, block in layer.W_2.items()})


def gap_at_slots(scores: list[list[Scores]], slots: Int[Array, "K"]) -> Float[Array, "K m"]:
    """By task and example, how far its head scores the input in its slot above BOS.

    The first class of keys is the input itself, for every input, or all inputs of a label's
    example; BOS is the last.
    """
    keys, bos = scores[0][0], scores[0][-1]
    shape = jnp.broadcast_shapes(keys.shape, bos.shape)
    # The slots are those of the query token (own) or of the key; the other axis is 1. If all slots
    # agree, both are.
    gap = jnp.broadcast_to(keys - bos, shape).reshape(shape[0], shape[1] * shape[2], shape[3])
    if gap.shape[1] == 1:
        return gap[:, 0]
    at = jnp.minimum(slots, gap.shape[1] - 1)[:, None, None]
    return jnp.take_along_axis(gap, at, axis=1)[:, 0]
