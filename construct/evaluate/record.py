"""Recorded and hooked runs: every layer's residual stream and what its attention did."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from construct.evaluate.alike import Alike, Run, alike, run, small
from construct.evaluate.dense import Seen, gaps_of, read_layer
from construct.evaluate.places import BATCH, Hooks, Touched, places_of, run_touched
from construct.evaluate.supports import GATHERS
from construct.layers import Layer, Stack, in_dtype, remembered
from construct.layout import AnyPrompt, Layout
from construct.readout import Readings, Readout
from construct.residual import Residual


class Record(NamedTuple):
    """The residual stream after the embedding and after each layer, and, by layer, after its
    attention and what that did; results: by layer, what its heads wrote, where hooks were on it."""

    streams: list[np.ndarray]  # (N, D)
    middles: list[np.ndarray]  # (N, D)
    seen: list[Seen]
    results: dict[str, np.ndarray]  # (K, N, D)


def record(
    model: Stack, prompt: AnyPrompt, hooks: Hooks | None, keep: bool
) -> tuple[Readings, Record, np.ndarray]:
    """Run one checked prompt: its readings, its record, and which rows of it are the prompt's own
    tokens.

    keep: record the attention weights too.
    """
    if hooks:
        return _hooked(model, prompt, hooks, keep)
    spec = model.spec
    layout = model.readout.layout
    batch = layout.batch_of([prompt], spec)
    with in_dtype(spec.dtype):
        found = _compiled(
            _groups(model, batch.tokens),
            jax.tree.map(lambda part: part[0], batch),
            _ties(model),
            layout=layout,
            residual=model.residual,
            m=spec.m,
            keep=keep,
        )
    first, runs = jax.tree.map(np.asarray, found)
    streams, middles, seen = [first], [], []
    for done in runs:
        streams += list(done.streams)
        middles += list(done.middles)
        by_layer = zip(*jax.tree.leaves(done.seen), strict=True)
        seen += [Seen(*parts, *[None] * (not keep)) for parts in by_layer]
    watched = remembered(model, ("watched",), partial(_on_host, model))
    how = (np.array(model.slots), model.residual, batch.inputs.shape[1])
    read: dict[str, Any] = {"vector": model.residual.read(streams[-1][-1], "y")}
    with np.errstate(all="ignore"):  # as JAX does, of weights that were changed
        for i, layer in watched.items():
            read |= read_layer(model.readout, layer, streams[i], streams[i + 1], *how)
    # Copies, so that an answer does not keep all streams.
    readings = Readings(**{name: np.array(part) for name, part in read.items()})
    return readings, Record(streams, middles, seen, {}), layout.own_rows(batch, 0)


def _on_host(model: Stack) -> dict[int, Layer]:
    """The layers that the theorem reads, by number; with NumPy arrays if it reads their weights:
    reading one prompt takes less time than compiling a program for it."""
    readout = model.readout
    return {
        i: jax.tree.map(np.asarray, layer) if layer.name == readout.layer else layer
        for i, layer in enumerate(model.layers)
        if layer.name in readout.layers
    }


def _groups(model: Stack, tokens: int) -> list[Alike | Layer]:
    """All layers as one group of one shape, or each by itself."""
    layers = list(model.layers)
    if not small(layers, tokens):
        return [*layers]
    return [remembered(model, ("alike",), lambda: jax.device_put(alike(layers, np)))]


def _ties(model: Stack) -> Float[np.ndarray, "layers 2"]:
    """By layer, up to which score difference keys tie with the top, and up to which a loser is
    near: a difference of two scores rounds by up to twice the score error."""
    gains = model.gains

    def tie(name: str) -> tuple[float, float]:
        error = gains.error(name)
        return gains.spread(name) + 2 * error, 2 * gains.T - 2 * error

    return np.array([tie(layer.name) for layer in model.layers], model.spec.dtype)


@partial(jax.jit, static_argnames=("layout", "residual", "m", "keep"))
def _compiled(
    groups: list[Alike | Layer],
    batch: Any,  # of the layout
    ties: Float[Array, "layers 2"],
    *,
    layout: Layout,
    residual: Residual,
    m: int,
    keep: bool,
) -> tuple[Array, list[Run]]:
    """The stream after the embedding, and what each group of layers did."""
    first, real = layout.embed(batch, residual, m)
    stream, start, runs = first, 0, []
    for group in groups:
        if isinstance(group, Layer):
            layers = alike([group])
            sums = {"many_winners": group.support in GATHERS, "many_heads": group.many_heads}
        else:
            layers, sums = group, {}
        stop = start + len(layers.causal)
        stream, done = run(layers, stream, real, ties[start:stop], keep, **sums)
        start = stop
        runs.append(done)
    return first, runs


def read_hooked(
    model: Stack, prompts: Sequence[AnyPrompt], hooks: Sequence[Hooks | None]
) -> Readings:
    """The readings of checked prompts in one batch, with hooks by prompt; the first axis is the
    prompts'."""
    touched, batch = _touched(model, prompts, hooks)
    return _run(model, batch, touched, touched.hooks)


def _touched(
    model: Stack, prompts: Sequence[AnyPrompt], hooks: Sequence[Hooks | None]
) -> tuple[Touched, Any]:
    layout = model.readout.layout
    batch = layout.batch_of(prompts, model.spec)
    rows = [layout.own_rows(batch, i) for i in range(len(prompts))]
    return Touched(hooks, rows, model.residual), batch


def _run(model: Stack, batch: Any, touch: Any, at: Iterable[str]) -> Readings:
    """Run a batch in compiled stages with `touch` between them, and read it."""
    readout, residual, m = model.readout, model.residual, model.spec.m
    found: dict[str, Array] = {}
    with in_dtype(model.spec.dtype):
        slots = jnp.array(model.slots)
        stream, real = _embed(batch, layout=readout.layout, residual=residual, m=m)

        def see(layer: Layer, before: Array, after: Array) -> None:
            if layer.name in readout.layers:
                examples = batch.inputs.shape[1]
                fixed = {"readout": readout, "residual": residual, "examples": examples}
                found.update(_read(layer, before, after, slots, **fixed))

        last = run_touched(model.layers, stream, real, touch, set(at), BATCH, see)
        vector = np.asarray(last)[:, -1, residual.where("y")]
        return Readings(vector, **jax.tree.map(np.asarray, found))


@partial(jax.jit, static_argnames=("layout", "residual", "m"))
def _embed(batch: Any, *, layout: Layout, residual: Residual, m: int) -> tuple[Array, Array]:
    return jax.vmap(lambda one: layout.embed(one, residual, m))(batch)


@partial(jax.jit, static_argnames=("readout", "residual", "examples"))
def _read(
    layer: Layer,
    before: Array,
    after: Array,
    slots: Array,
    *,
    readout: Readout,
    residual: Residual,
    examples: int,
) -> dict[str, Array]:
    def one(two: tuple[Array, Array]) -> dict[str, Array]:
        return read_layer(readout, layer, *two, slots, residual, examples)

    return jax.vmap(one)((before, after))


def _hooked(
    model: Stack, prompt: AnyPrompt, hooks: Hooks, keep: bool
) -> tuple[Readings, Record, np.ndarray]:
    touched, batch = _touched(model, [prompt], [hooks])
    names = [layer.name for layer in model.layers]
    kept: dict[str, np.ndarray] = {}

    def touch(place: str, value: Array) -> Array:
        value = touched(place, value)
        kept[place] = np.asarray(value)[0]
        return value

    readings = _run(model, batch, touch, places_of(model))
    one = Readings(*(None if part is None else part[0] for part in readings))
    seen, middles = [], [kept[f"{name}.resid_mid"] for name in names]
    for name, tie in zip(names, _ties(model), strict=True):
        with in_dtype(model.spec.dtype):
            gap, near, best = map(np.asarray, _gaps(kept[f"{name}.attn.scores"], tie))
        pattern = kept[f"{name}.attn.pattern"] if keep else None
        seen.append(Seen(gap, near, best, pattern))
    streams = [kept["embed"], *(kept[f"{name}.resid_post"] for name in names)]
    results = {name: kept[f"{name}.attn.result"] for name in names}
    return one, Record(streams, middles, seen, results), touched.rows[0]


_gaps = jax.jit(gaps_of)


def heads_of(
    banks: Sequence[tuple[Array, Array]],
    before: Float[np.ndarray, "N D"],
    weights: Float[np.ndarray, "K N N"],
) -> Float[np.ndarray, "K N D"]:
    """What each head writes at every token, of its bank's W_V and W_O, the stream before the layer
    and its attention weights."""
    found, first = [], 0
    for W_V, W_O in banks:
        count = len(W_V)
        values = np.einsum("nd,hvd->hnv", before, W_V)
        moved = np.einsum("hqk,hkv->hqv", weights[first : first + count], values, optimize=True)
        found.append(np.einsum("hqv,hdv->hqd", moved, W_O))
        first += count
    return np.concatenate(found)
