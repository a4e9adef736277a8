"""A recorded run: every layer's residual stream and what its attention did, with hooks that read
the stream on its way or replace it."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from construct import checks
from construct.evaluate.dense import Seen, apply_layer, read_one
from construct.layers import Layer, Stack, in_dtype
from construct.prompt import Batch, Prompt, batch_of
from construct.readout import Leaf, Readings, Readout
from construct.residual import Residual

# By layer name ('embed': before the first) and subspace, a function of that subspace, (N, size).
Hooks = Mapping[tuple[str, str], Callable[[Array], Array | None]]


class Record(NamedTuple):
    """The residual stream after the embedding and after each layer, and what each layer's attention
    did."""

    streams: list[Leaf]  # (N, D)
    seen: list[Seen]


def record(
    model: Stack, prompt: Prompt, hooks: Hooks | None, keep: bool
) -> tuple[Readings, Record, np.ndarray]:
    """Run one checked prompt: its readings, its record, and which rows of it are the prompt's own
    tokens.

    keep: record the attention weights too.
    """
    spec, gains = model.spec, model.gains
    with in_dtype(spec.dtype):
        batch = jax.tree.map(lambda part: part[0], batch_of([prompt], spec))
        # A difference of two scores rounds by up to twice the score error: ties are within it, and
        # 2T less it is near.
        ties = jnp.array(
            [
                (gains.spread(name) + 2 * error, 2 * gains.T - 2 * error)
                for name, error in gains.score_error
            ],
            spec.dtype,
        )
        ask = partial(_recorded, hooks=hooks, step=_step) if hooks else _compiled
        readings, found = ask(
            model.layers,
            batch,
            jnp.array(model.slots),
            ties,
            readout=model.readout,
            residual=model.residual,
            m=spec.m,
            keep=keep,
        )
    real = np.concatenate([[True], np.repeat(batch.real, spec.n), np.ones(spec.n, bool)])
    return *jax.tree.map(np.asarray, (readings, found)), real


def _recorded(
    layers: Iterable[Layer],
    batch: Batch,
    slots: Int[Array, "K"],
    ties: Float[Array, "layers 2"],
    *,
    readout: Readout,
    residual: Residual,
    m: int,
    keep: bool,
    hooks: Hooks | None = None,
    step: Callable[..., tuple[Array, Seen | None]] = apply_layer,
) -> tuple[Readings, Record]:
    found = Record([], [])

    def see(layer: Layer, before: Array, after: Array, seen: Seen) -> None:
        found.streams.append(after)
        found.seen.append(seen)

    def change(layer: str, stream: Array) -> Array:
        changed = _hooked(stream, layer, residual, hooks)
        if layer == "embed":
            found.streams.append(changed)
        return changed

    how = {"see": see, "change": change, "ties": ties, "keep": keep, "step": step}
    return read_one(layers, batch, slots, readout=readout, residual=residual, m=m, **how), found


@partial(jax.jit, static_argnames=("readout", "residual", "m", "keep"))
def _compiled(
    layers: Iterable[Layer],
    batch: Batch,
    slots: Int[Array, "K"],
    ties: Float[Array, "layers 2"],
    *,
    readout: Readout,
    residual: Residual,
    m: int,
    keep: bool,
) -> tuple[Readings, Record]:
    return _recorded(layers, batch, slots, ties, readout=readout, residual=residual, m=m, keep=keep)


_step = partial(jax.jit, static_argnames=("keep", "answer_only"))(apply_layer)


def _hooked(stream: Array, layer: str, residual: Residual, hooks: Hooks | None) -> Array:
    for (name, subspace), hook in (hooks or {}).items():
        if name != layer:
            continue
        value = residual.read(stream, subspace)
        new = hook(value)
        if new is not None:
            new = jnp.asarray(new, stream.dtype)
            where = f"hooks[{name!r}, {subspace!r}]"
            checks.shape(where, new, value.shape, "the subspace that it replaces")
            stream = residual.replace(stream, subspace, new)
    return stream


def check_hooks(model: Stack, hooks: Hooks | None) -> None:
    """Refuse a hook on a layer or a subspace that does not exist."""
    names = ["embed", *(layer.name for layer in model.layers)]
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
        model.residual.where(subspace)
