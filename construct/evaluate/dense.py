"""The dense evaluator: softmax attention over all pairs of tokens and residual ReLU MLPs, as pure
JAX functions of the weights. What a theorem reads of a layer is read of JAX's or NumPy's arrays.

This is the reference: it knows nothing of what the heads are for. Matrix products ask for the
highest precision, so that a GPU's TF32 default cannot break a score. Query tokens are taken in
chunks, so that memory grows with the number of tokens and not with its square.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from construct.evaluate.bf16 import AllPieces, Pieces, Split, rounded
from construct.evaluate.supports import GATHERS
from construct.layers import Heads, Layer, Stack, in_dtype
from construct.layout import AnyPrompt
from construct.readout import Leaf, Readings, Readout
from construct.residual import Residual
from construct.roles import LABEL

# Memory that the scores of one chunk may take, by platform: about what a CPU's last cache holds,
# and enough to fill any GPU. A matter of speed alone, results do not depend on it.
CHUNK_BYTES = {"cpu": 1 << 24, "gpu": 1 << 28}

T = TypeVar("T")
U = TypeVar("U")


class Seen(NamedTuple):
    """What a layer's attention did: by head and query token, the least score gap, how many losers
    are near, the best score of a key other than BOS, and on request the softmax weights."""

    gap: Leaf  # (K, N)
    near: Leaf  # (K, N)
    best: Leaf  # (K, N)
    pattern: Leaf  # (K, N, N)


# see(layer, the stream before it, the stream after it)
See = Callable[[Layer, Array, Array], None]


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


def product(subscripts: str, *arrays: Array) -> Array:
    """An einsum at the highest precision; products of bfloat16 numbers are summed in float32."""
    kept = jnp.promote_types(arrays[0].dtype, jnp.float32)
    return jnp.einsum(
        subscripts, *arrays, precision=jax.lax.Precision.HIGHEST, preferred_element_type=kept
    )


def weigh(
    weights: Float[Array, "H q N"], values: Float[Array, "H N v"], many_winners: bool
) -> Float[Array, "H q v"]:
    """Sum the values by weight. A mean over many keys is summed in about sqrt(N) blocks of sqrt(N):
    rounding grows with 2 sqrt(N) and not with N. With few winners the other summands are exactly 0
    and cost no rounding."""
    if not many_winners:
        return product("hqk,hkv->hqv", weights, values)
    N = values.shape[1]
    size = math.isqrt(N - 1) + 1
    pad = -N % size
    weights = jnp.pad(weights, [(0, 0), (0, 0), (0, pad)]).reshape(*weights.shape[:2], -1, size)
    values = jnp.pad(values, [(0, 0), (0, pad), (0, 0)]).reshape(
        values.shape[0], -1, size, values.shape[2]
    )
    return product("hqbk,hbkv->bhqv", weights, values).sum(0)


def write(
    moved: Float[Array, "H q v"], W_O: Float[Array, "H D v"], many_heads: bool
) -> Float[Array, "q D"]:
    """What the heads add to the stream together, summed in blocks if many of them move
    something."""
    if not many_heads:
        return product("hcv,hdv->cd", moved, W_O)
    heads = len(moved)
    size = math.isqrt(heads - 1) + 1
    padding = [(0, -heads % size), (0, 0), (0, 0)]
    blocks = (jnp.pad(part, padding).reshape(-1, size, *part.shape[1:]) for part in (moved, W_O))
    return product("bhcv,bhdv->bcd", *blocks).sum(0)


class Bank(NamedTuple):
    """The weights of a bank of heads, or of several as one (`joined`)."""

    W_Q: Leaf  # (K, rank, D)
    W_K: Leaf  # (K, rank, D)
    W_V: Leaf  # (K, v, D)
    W_O: Leaf  # (K, D, v)


def joined(banks: Iterable[Heads], xp: ModuleType = jnp) -> Bank:
    """All heads of a layer, in order, with zeros where ranks differ; xp: NumPy on the host, where
    it compiles nothing."""
    banks = list(banks)
    parts = ([getattr(bank, name)[...] for bank in banks] for name in Bank._fields)
    return Bank(*(xp.concatenate(padded(part, 1, xp)) for part in parts))


def padded(arrays: Sequence[Any], first: int, xp: ModuleType) -> list[Any]:
    """Arrays with zeros at the end of every axis from `first` on, so that they agree there."""
    sizes = [max(array.shape[axis] for array in arrays) for axis in range(arrays[0].ndim)]

    def pads(array: Any) -> list[tuple[int, int]]:
        return [
            (0, size - length if axis >= first else 0)
            for axis, (size, length) in enumerate(zip(sizes, array.shape, strict=True))
        ]

    return [xp.pad(array, pads(array)) for array in arrays]


def attend(
    bank: Heads | Bank,
    queries: Float[Array, "q D"],
    stream: Float[Array, "N D"],
    real: Bool[Array, "N"],
    *,
    causal: bool | Bool[Array, ""],
    many_winners: bool,
    many_heads: bool,
    pieces: Pieces | None = None,
    tie: Float[Array, "2"] | None = None,
    keep: bool = False,
) -> tuple[Float[Array, "q D"], Seen | None]:
    """What a bank of heads adds at the query tokens.

    pieces: how scores and weighted sums are to multiply bfloat16 numbers. tie: tell what the heads
    did; tie[0] is the score difference up to which keys tie with the top, tie[1] the one up to
    which a loser is near. keep: tell the softmax weights, too.
    """
    split = None if pieces is None else Split(pieces)
    keys = product("nd,had->hna", stream, bank.W_K[...])
    values = product("nd,hvd->hnv", stream, bank.W_V[...])
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
        asked = product("cd,had->hca", chunk, bank.W_Q[...])
        if split is not None:
            asked = split.queries(asked, real[place])
        scores = product("hca,hka->hck", asked, keys)
        visible = real
        if causal is not False:
            visible = real & ((jnp.arange(N) <= place[:, None]) | jnp.logical_not(causal))
        scores = jnp.where(visible, scores, -jnp.inf)
        top = scores.max(-1, keepdims=True)
        weights = jnp.exp(scores - jax.lax.stop_gradient(top))
        if split is not None:
            weights = rounded(weights, real[place])
        summed = weigh(weights, values, many_winners)
        moved, total = summed[..., :-1], summed[..., -1:]
        if split is not None:
            moved = split.joined(moved)
        # XLA multiplies by the reciprocal of what it knows to be broadcast, which rounds twice: 14
        # / 7 would not be 2.
        divisor = jax.lax.optimization_barrier(jnp.broadcast_to(total, moved.shape))
        out = write(moved / divisor, bank.W_O[...], many_heads)
        if tie is None:
            return out, None
        gap, near, best = gaps_of(scores, tie)
        # Query tokens first, as chunks of them are put together.
        pattern = jnp.swapaxes(weights / total, 0, 1) if keep else None
        return out, Seen(gap.T, near.T, best.T, pattern)

    places = jnp.arange(N - count, N)  # the queries are the last tokens, or all
    chunk = max(1, chunk_bytes() // (heads * N * stream.dtype.itemsize))
    if chunk >= count:
        out, seen = rows((queries, places))
    else:
        runs = -(-count // chunk)
        filled = jnp.pad(queries, [(0, runs * chunk - count), (0, 0)]).reshape(runs, chunk, -1)
        parts = jax.lax.map(
            rows, (filled, jnp.pad(places, (0, runs * chunk - count)).reshape(runs, chunk))
        )
        out, seen = jax.tree.map(
            lambda part: part.reshape(runs * chunk, *part.shape[2:])[:count], parts
        )
    return out, jax.tree.map(lambda part: jnp.swapaxes(part, 0, 1), seen)


def gaps_of(
    scores: Float[Array, "K q N"], tie: Float[Array, "2"]
) -> tuple[Float[Array, "K q"], Int[Array, "K q"], Float[Array, "K q"]]:
    """By head and query token: how far the best score leads the best loser, how many losers are
    near, and the best score of a key other than BOS.

    tie: the score differences up to which keys tie with the top, and up to which a loser is near.
    """
    top = scores.max(-1, keepdims=True)
    losers = scores < top - tie[0]
    gap = top[..., 0] - jnp.where(losers, scores, -jnp.inf).max(-1)
    near = (losers & (scores > top - tie[1])).sum(-1)
    return gap, near, scores[:, :, 1:].max(-1)


def apply_layer(
    layer: Layer,
    stream: Float[Array, "N D"],
    real: Bool[Array, "N"],
    *,
    answer_only: bool = False,
    mlp: bool = True,
    pieces: tuple[Pieces | None, ...] | None = None,
) -> Float[Array, "q D"]:
    """One layer: attention, then the MLP unless it is left out. With `answer_only`, just the last
    token's row, which is all that is wanted at the end.

    pieces: by bank, how its scores and weighted sums are to multiply bfloat16 numbers; None: they
    do not.

    An idle bank is skipped while all its W_V and W_O are 0, which is exact, gradients included.
    """
    queries = stream[-1:] if answer_only else stream
    after = queries
    for bank, split in zip(layer.banks, pieces or [None] * len(layer.banks), strict=True):

        def plus(
            before: Array, bank: Heads = bank, split: Pieces | None = split
        ) -> Float[Array, "q D"]:
            return (
                before
                + attend(
                    bank,
                    queries,
                    stream,
                    real,
                    causal=layer.causal,
                    many_winners=layer.support in GATHERS,
                    many_heads=layer.many_heads,
                    pieces=split,
                )[0]
            )

        if bank.idle:
            used = jnp.any((bank.W_V[...] != 0) | (jnp.swapaxes(bank.W_O[...], 1, 2) != 0))
            after = jax.lax.cond(used, plus, lambda before: before, after)
        else:
            after = plus(after)
    return transform(layer, after) if mlp else after


def transform(layer: Layer, stream: Float[Array, "tokens D"]) -> Float[Array, "tokens D"]:
    """The stream after a layer's MLP."""
    if layer.mlp is None:
        return stream
    W_3 = layer.mlp.W_3
    return feed(stream, layer.mlp.W_1[...], layer.mlp.W_2[...], W_3 if W_3 is None else W_3[...])


def feed(
    stream: Float[Array, "tokens D"],
    W_1: Float[Array, "w D"],
    W_2: Float[Array, "D w"],
    W_3: Float[Array, "w D"] | None = None,
    gated: bool | Bool[Array, ""] = True,
) -> Float[Array, "tokens D"]:
    """The stream after an MLP; gated: whether its W_3, if there is one, is a gate."""
    hidden = jax.nn.relu(product("nd,wd->nw", stream, W_1))
    if W_3 is not None:
        hidden = hidden * jnp.where(gated, product("nd,wd->nw", stream, W_3), 1)
    return stream + product("nw,dw->nd", hidden, W_2)


def run(
    layers: Iterable[Layer],
    stream: Float[Array, "N D"],
    real: Bool[Array, "N"],
    *,
    see: See | None = None,
    pieces: Sequence[tuple[Pieces | None, ...]] | None = None,
) -> Float[Array, "1 D"]:
    """Run the layers on one embedded prompt: the stream after the last, at the last token.

    see(layer, before, after) is told of each layer. pieces: by layer and bank, how to multiply
    bfloat16 numbers (`construct.evaluate.bf16`).
    """
    layers = list(layers)
    for i, layer in enumerate(layers):
        after = apply_layer(
            layer,
            stream,
            real,
            answer_only=i == len(layers) - 1,
            pieces=None if pieces is None else pieces[i],
        )
        if see is not None:
            see(layer, stream, after)
        stream = after
    return stream


def read_layer(
    readout: Readout,
    layer: Layer,
    before: Float[Array | np.ndarray, "N D"],
    after: Float[Array | np.ndarray, "tokens D"],
    slots: Int[Array | np.ndarray, "K"],
    residual: Residual,
    examples: int,
) -> dict[str, Any]:
    """What the theorem reads of a layer, by the names of `Readings`; in NumPy, if all that it is
    told is."""
    found = {}
    if layer.name == readout.layer:
        found |= _recognition(readout, layer, before, slots, residual, examples)
    if readout.codes is not None and layer.name == readout.codes[0]:
        labels = after[1:].reshape(examples + 1, -1, residual.dim)[:examples, -1]
        found["code"] = residual.read(labels, readout.codes[1])
        found["ok"] = residual.read(labels, "ok")[:, 0]
    if readout.prefix is not None and layer.name == readout.prefix[0]:
        found["prefix"] = residual.read(after[-1], readout.prefix[1])
    if readout.posterior is not None and layer.name == readout.posterior[0]:
        found["posterior"] = residual.read(after[-1], readout.posterior[1])
    return found


def _recognition(
    readout: Readout,
    layer: Layer,
    before: Float[Array | np.ndarray, "N D"],
    slots: Int[Array | np.ndarray, "K"],
    residual: Residual,
    examples: int,
) -> dict[str, Any]:
    """By task and example, how far its head scores the input in its slot above BOS; by task and
    input, its output's norm."""
    bank = layer.banks[0]
    on_host = isinstance(before, np.ndarray)
    einsum: Any = partial(np.einsum, optimize=True) if on_host else product
    groups = before[1:].reshape(examples + 1, -1, residual.dim)
    inputs = groups[:, :-1]

    def at_slots(
        by_slot: Float[Array | np.ndarray, "K m slots rank"],
    ) -> Float[Array | np.ndarray, "K m rank"]:
        return by_slot[np.arange(len(slots)), :, slots]

    keys = einsum("gsd,had->hgsa", inputs, bank.W_K[...])
    if readout.asks == LABEL:
        asking = einsum("md,had->hma", groups[:examples, -1], bank.W_Q[...])
    else:
        asking = at_slots(einsum("gsd,had->hgsa", inputs[:examples], bank.W_Q[...]))
    bos = einsum("d,had->ha", before[0], bank.W_K[...])
    own = (asking * at_slots(keys[:, :examples])).sum(-1)
    output = keys[..., bank.rows(readout.term)]
    if readout.less is not None:
        output = output + residual.read(inputs, readout.less)
    return {
        "gap": own - (asking * bos[:, None]).sum(-1),
        "output_norm": (np if on_host else jnp).sqrt((output**2).sum(-1)),
    }


def read_one(
    layers: Iterable[Layer],
    batch: Any,  # of the readout's layout
    slots: Int[Array, "K"],
    *,
    readout: Readout,
    residual: Residual,
    m: int,
    pieces: AllPieces | None = None,
) -> Readings:
    """Run one prompt and read it as the streams pass; `pieces` as in `run`."""
    stream, real = readout.layout.embed(batch, residual, m)
    found: dict[str, Array] = {}

    def see(layer: Layer, before: Array, after: Array) -> None:
        examples = batch.inputs.shape[0]
        found.update(read_layer(readout, layer, before, after, slots, residual, examples))

    last = run(layers, stream, real, see=see, pieces=pieces)
    return Readings(vector=residual.read(last[-1], "y"), **found)


def read_prompts(
    stack: Stack, prompts: Sequence[AnyPrompt], pieces: AllPieces | None = None
) -> Readings:
    """The readings of checked prompts, ragged or not, in one batched pass; the first axis is the
    prompts'."""
    with in_dtype(stack.spec.dtype):
        readings = read_batch(
            stack.layers,
            stack.readout.layout.batch_of(prompts, stack.spec),
            np.array(stack.slots),
            readout=stack.readout,
            residual=stack.residual,
            m=stack.spec.m,
            pieces=pieces,
        )
    return jax.tree.map(np.asarray, readings)


@partial(jax.jit, static_argnames=("readout", "residual", "m", "pieces"))
def read_batch(
    layers: Iterable[Layer],
    batch: Any,  # of the readout's layout
    slots: Int[Array, "K"],
    *,
    readout: Readout,
    residual: Residual,
    m: int,
    pieces: AllPieces | None = None,
) -> Readings:
    """`read_one` of every prompt of a batch."""
    scores = max(layer.heads for layer in layers) * batch.tokens**2 * batch.inputs.dtype.itemsize
    ask = partial(read_one, readout=readout, residual=residual, m=m, pieces=pieces)
    return over_prompts(lambda one: ask(layers, one, slots), batch, scores)
