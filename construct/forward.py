"""The forward pass: dense softmax attention and residual ReLU MLPs, as pure JAX functions of the
weights.

This is the reference evaluator: it scores every query token against every key token and knows
nothing of what the heads are for. Matrix products ask for the highest precision, so that a GPU's
TF32 default cannot break a score. Query tokens are taken in chunks, so that memory grows with the
number of tokens and not with its square.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from construct import checks
from construct.bf16 import Pieces, Split, rounded
from construct.residual import Residual
from construct.transformer import Heads, Hooks, Layer, Support

# Memory that the scores of one chunk may take, by platform: about what a CPU's last cache holds,
# and enough to fill any GPU. A matter of speed alone, results do not depend on it.
CHUNK_BYTES = {"cpu": 1 << 24, "gpu": 1 << 28}

T = TypeVar("T")
U = TypeVar("U")


class Seen(NamedTuple):
    """What a layer's attention did: by head and query token, the least score gap, how many losers
    are near, the best score of a key other than BOS, and, on request, the softmax weights."""

    gap: Float[Array, "K N"]
    near: Int[Array, "K N"]
    best: Float[Array, "K N"]
    attention: Float[Array, "K N N"] | None


class Record(NamedTuple):
    """The residual stream after the embedding and after each layer, and what each layer's attention
    did."""

    streams: list[Float[Array, "N D"]]
    seen: list[Seen]


def precision(dtype: str) -> AbstractContextManager[None]:
    """The context in which JAX keeps `dtype`: 64-bit types are enabled locally, the caller's
    setting is left as it is."""
    return jax.enable_x64(dtype == "float64")


def chunk_bytes() -> int:
    """Memory that the scores of one chunk may take where JAX runs."""
    return CHUNK_BYTES.get(jax.default_backend(), CHUNK_BYTES["gpu"])


def over_prompts(one: Callable[[T], U], batch: T, scores: int) -> U:
    """Map a function over the first axis of a batch of prompts, vectorized as far as their scores
    fit a chunk.

    scores: the bytes that the scores of one prompt take in the layer with the most.
    """
    together = max(1, chunk_bytes() // scores)
    if together >= len(jax.tree.leaves(batch)[0]):
        return jax.vmap(one)(batch)
    return jax.lax.map(one, batch, batch_size=together if together > 1 else None)


def _product(subscripts: str, *arrays: Array) -> Array:
    # Products of bfloat16 numbers are summed in float32.
    kept = jnp.promote_types(arrays[0].dtype, jnp.float32)
    return jnp.einsum(
        subscripts, *arrays, precision=jax.lax.Precision.HIGHEST, preferred_element_type=kept
    )


def _weigh(
    weights: Float[Array, "H q N"], values: Float[Array, "H N v"], many_winners: bool
) -> Float[Array, "H q v"]:
    """Sum the values by weight. A mean over many keys is summed in about sqrt(N) blocks of sqrt(N):
    rounding grows with 2 sqrt(N) and not with N. With few winners the other summands are exactly 0
    and cost no rounding."""
    if not many_winners:
        return _product("hqk,hkv->hqv", weights, values)
    N = values.shape[1]
    size = math.isqrt(N - 1) + 1
    pad = -N % size
    weights = jnp.pad(weights, [(0, 0), (0, 0), (0, pad)]).reshape(*weights.shape[:2], -1, size)
    values = jnp.pad(values, [(0, 0), (0, pad), (0, 0)]).reshape(
        values.shape[0], -1, size, values.shape[2]
    )
    return _product("hqbk,hbkv->bhqv", weights, values).sum(0)


def _write(
    moved: Float[Array, "H q v"], W_O: Float[Array, "H D v"], many_heads: bool
) -> Float[Array, "q D"]:
    """What the heads add to the stream together, summed in blocks if many of them move
    something."""
    if not many_heads:
        return _product("hcv,hdv->cd", moved, W_O)
    heads = len(moved)
    size = math.isqrt(heads - 1) + 1
    padding = [(0, -heads % size), (0, 0), (0, 0)]
    blocks = (jnp.pad(part, padding).reshape(-1, size, *part.shape[1:]) for part in (moved, W_O))
    return _product("bhcv,bhdv->bcd", *blocks).sum(0)


def _attend(
    bank: Heads,
    queries: Float[Array, "q D"],
    stream: Float[Array, "N D"],
    real: Bool[Array, "N"],
    many_winners: bool,
    causal: bool,
    many_heads: bool,
    tie: Array | None,
    keep: bool,
    pieces: Pieces | None,
) -> tuple[Float[Array, "q D"], Seen | None]:
    """What a bank of heads adds at the query tokens; with a `tie`, also the gaps: tie[0] is the
    score difference up to which keys tie with the top, tie[1] the one up to which a loser is near.
    With `pieces`, scores and weighted sums multiply bfloat16 numbers."""
    split = None if pieces is None else Split(pieces)
    keys = _product("nd,had->hna", stream, bank.W_K[...])
    values = _product("nd,hvd->hnv", stream, bank.W_V[...])
    heads, N = values.shape[:2]
    # The softmax divides last: a value of 1 beside the others sums the weights in the same product,
    # so that the scores, the largest arrays of all, are passed over once less often. With hard
    # heads this sum is a count, hence exact.
    if split is not None:
        keys, values = split.keys(keys, real), split.values(values, real)
    values = jnp.concatenate([values, jnp.ones((heads, N, 1), values.dtype)], axis=-1)
    count = len(queries)

    def rows(part: tuple[Float[Array, "c D"], Int[Array, "c"]]) -> tuple[Array, Seen | None]:
        chunk, place = part
        asked = _product("cd,had->hca", chunk, bank.W_Q[...])
        if split is not None:
            asked = split.queries(asked, real[place])
        scores = _product("hca,hka->hck", asked, keys)
        visible = real & (jnp.arange(N) <= place[:, None]) if causal else real
        scores = jnp.where(visible, scores, -jnp.inf)
        top = scores.max(-1, keepdims=True)
        weights = jnp.exp(scores - jax.lax.stop_gradient(top))
        if split is not None:
            weights = rounded(weights, real[place])
        summed = _weigh(weights, values, many_winners)
        moved, total = summed[..., :-1], summed[..., -1:]
        if split is not None:
            moved = split.joined(moved)
        # XLA multiplies by the reciprocal of what it knows to be broadcast, which rounds twice: 14
        # / 7 would not be 2.
        divisor = jax.lax.optimization_barrier(jnp.broadcast_to(total, moved.shape))
        out = _write(moved / divisor, bank.W_O[...], many_heads)
        if tie is None:
            return out, None
        losers = scores < top - tie[0]
        gap = top[..., 0] - jnp.where(losers, scores, -jnp.inf).max(-1)
        near = (losers & (scores > top - tie[1])).sum(-1)
        best = scores[:, :, 1:].max(-1)
        return out, Seen(
            gap.T, near.T, best.T, jnp.swapaxes(weights / total, 0, 1) if keep else None
        )

    places = jnp.arange(N - count, N)  # the queries are the last tokens, or all
    chunk = max(1, chunk_bytes() // (heads * N * stream.dtype.itemsize))
    if chunk >= count:
        return rows((queries, places))
    runs = -(-count // chunk)
    padded = jnp.pad(queries, [(0, runs * chunk - count), (0, 0)]).reshape(runs, chunk, -1)
    results = jax.lax.map(
        rows, (padded, jnp.pad(places, (0, runs * chunk - count)).reshape(runs, chunk))
    )
    return jax.tree.map(lambda part: part.reshape(runs * chunk, *part.shape[2:])[:count], results)


def apply_layer(
    layer: Layer,
    stream: Float[Array, "N D"],
    real: Bool[Array, "N"],
    *,
    tie: Array | None = None,
    keep: bool = False,
    answer_only: bool = False,
    pieces: tuple[Pieces | None, ...] | None = None,
) -> tuple[Float[Array, "q D"], Seen | None]:
    """One layer: attention, then the MLP. With `answer_only`, just the last token's row, which is
    all that is wanted at the end.

    pieces: by bank, how its scores and weighted sums are to multiply bfloat16 numbers; None: they
    do not.

    An idle bank is skipped while all its W_V and W_O are 0, which is exact, gradients included; a
    `tie` asks for the gaps of all heads, and then nothing is skipped.
    """
    queries = stream[-1:] if answer_only else stream
    after, seen = queries, []
    many_winners = layer.support in (Support.LABELS, Support.INPUTS)
    for bank, split in zip(layer.banks, pieces or [None] * len(layer.banks), strict=True):

        def active(bank: Heads = bank, split: Pieces | None = split) -> tuple[Array, Seen | None]:
            return _attend(
                bank,
                queries,
                stream,
                real,
                many_winners,
                layer.causal,
                layer.many_heads,
                tie,
                keep,
                split,
            )

        if bank.idle and tie is None:
            used = jnp.any((bank.W_V[...] != 0) | (jnp.swapaxes(bank.W_O[...], 1, 2) != 0))
            after = jax.lax.cond(used, lambda h, active=active: h + active()[0], lambda h: h, after)
        else:
            out, one = active()
            after = after + out
            seen.append(one)
    if layer.mlp is not None:
        hidden = jax.nn.relu(_product("nd,wd->nw", after, layer.mlp.W_1[...]))
        after = after + _product("nw,dw->nd", hidden, layer.mlp.W_2[...])
    if tie is None:
        return after, None
    gap, near, best = (jnp.concatenate([one[i] for one in seen], axis=1).T for i in range(3))
    attention = (
        jnp.moveaxis(jnp.concatenate([one.attention for one in seen], axis=1), 0, 1)
        if keep
        else None
    )
    return after, Seen(gap, near, best, attention)


def own_gap(bank: Heads, stream: Float[Array, "N D"]) -> Float[Array, "H N"]:
    """By how much each head's score of the token itself exceeds its score of BOS (token 0)."""
    queries = _product("nd,had->hna", stream, bank.W_Q[...])
    keys = _product("nd,had->hna", stream, bank.W_K[...])
    return (queries * keys).sum(-1) - _product("hna,ha->hn", queries, keys[:, 0])


def run(
    layers: Iterable[Layer],
    stream: Float[Array, "N D"],
    real: Bool[Array, "N"],
    residual: Residual,
    *,
    observe: Callable[[Layer, Array, Array], None] | None = None,
    hooks: Hooks | None = None,
    ties: Array | None = None,
    keep: bool = False,
    step: Callable[..., tuple[Array, Seen | None]] = apply_layer,
    pieces: Sequence[tuple[Pieces | None, ...]] | None = None,
) -> tuple[Float[Array, "D"], Record]:
    """Run the layers on one embedded prompt; returns the stream at the answer token and what was
    recorded.

    observe(layer, before, after) sees each layer's stream. hooks[layer name, subspace] reads a
    subspace after that layer ('embed': before the first) and may return its replacement. ties
    (layers, 2): by layer, the score differences up to which keys tie and up to which losers are
    near; with them, every stream and gap is recorded, and with `keep` every attention weight.
    pieces: by layer and bank, how to multiply bfloat16 numbers (`construct.bf16`).
    """
    layers = list(layers)
    stream = _hooked(stream, "embed", residual, hooks)
    record = Record([stream], [])
    for i, layer in enumerate(layers):
        # Hooks and records want the whole stream; otherwise the last layer is asked for the answer
        # token alone.
        answer_only = i == len(layers) - 1 and ties is None and not hooks
        asked = {} if pieces is None else {"pieces": pieces[i]}
        tie = None if ties is None else ties[i]
        after, seen = step(
            layer, stream, real, tie=tie, keep=keep, answer_only=answer_only, **asked
        )
        after = _hooked(after, layer.name, residual, hooks)
        if observe is not None:
            observe(layer, stream, after)
        stream = after
        if ties is not None:
            record.streams.append(stream)
            record.seen.append(seen)
    return stream[-1], record


def _hooked(stream: Array, layer: str, residual: Residual, hooks: Hooks | None) -> Array:
    for (name, subspace), hook in (hooks or {}).items():
        if name != layer:
            continue
        value = residual.read(stream, subspace)
        new = hook(value)
        if new is not None:
            new = jnp.asarray(new, stream.dtype)
            checks.shape(
                f"hooks[{name!r}, {subspace!r}]", new, value.shape, "the subspace that it replaces"
            )
            stream = residual.replace(stream, subspace, new)
    return stream


def check_hooks(hooks: Hooks | None, layers: Iterable[Layer], residual: Residual) -> None:
    """Refuse a hook on a layer or a subspace that does not exist."""
    names = ["embed"] + [layer.name for layer in layers]
    for (name, subspace), hook in (hooks or {}).items():
        if not callable(hook):
            raise checks.refuse(
                f"hooks[{name!r}, {subspace!r}]",
                repr(hook)[:40],
                "must be a function of the subspace",
                "pass a callable",
            )
        if name not in names:
            raise checks.refuse(
                "hooks", repr(name), "must name a layer", f"use one of {', '.join(names)}"
            )
        residual.where(subspace)
