"""How a transformer is asked and read: validate the prompt, run, decode the stream, refuse what is undecided.

`Reading` is shared by all theorems; what to observe and how to decode it are a theorem's own `Parts`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from construct import checks
from construct.answer import Answer, Trace, token_names
from construct.forward import Record, apply_layer, check_hooks, own_gap, precision, run
from construct.gains import Cold
from construct.prompt import Batch, Prompt, check_prompt, embed, stack
from construct.residual import Residual
from construct.spec import Spec
from construct.transformer import Hooks, Layer, Transformer


class Readings(NamedTuple):
    """What is read off one run: the answer, Recognize's gaps and output norms, and where the theorem has them the labels'
    task codes and flags, and the norms of outputs in their task's own slot."""

    vector: Float[Array, "d"]
    gap: Float[Array, "K m"]
    output_norm: Float[Array, "K groups slots"]
    code: Float[Array, "m code"] | None = None
    ok: Float[Array, "m"] | None = None
    own_norm: Float[Array, "K m"] | None = None


class Parts(NamedTuple):
    """What differs between theorems: observe(layer, before, after, slots, residual, m') gives readings by name after a layer;
    decode(gains, spec, prompt, name, readings, enforce) checks the hypotheses on them and gives the answer."""

    observe: Callable[..., dict[str, Array]]
    decode: Callable[..., Answer]


@dataclass(frozen=True)
class Reading:
    """A theorem's way to ask a transformer; static and hashable, held by the model."""

    gains: Cold
    slots: tuple[int, ...]
    parts: Parts

    def answers(self, model: Transformer, prompts: list[Prompt], names: list[str], hooks: Hooks | None) -> list[Answer]:
        """Answer a batch of prompts, ragged or not, in one call. Raises ValueError on a hypothesis that does not hold."""
        spec = model.spec
        for prompt, name in zip(prompts, names, strict=True):
            check_prompt(spec, prompt, name, self.gains.input_radius)
        if hooks:
            return [self.trace(model, prompt, hooks, keep=False, enforce=False).answer for prompt in prompts]
        with precision(spec.dtype):
            readings = _batch(
                model.layers,
                stack(prompts, spec),
                np.array(self.slots),
                observe=self.parts.observe,
                residual=model.residual,
                m=spec.m,
            )
        readings = jax.tree.map(np.asarray, readings)
        return [
            self.parts.decode(self.gains, spec, prompt, name, jax.tree.map(lambda part, i=i: part[i], readings), enforce=True)
            for i, (prompt, name) in enumerate(zip(prompts, names, strict=True))
        ]

    def trace(self, model: Transformer, prompt: Prompt, hooks: Hooks | None, keep: bool, enforce: bool) -> Trace:
        """Answer one prompt and record every layer; `enforce` refuses a run that shows a hypothesis to fail."""
        spec = model.spec
        check_prompt(spec, prompt, "prompt", self.gains.input_radius)
        check_hooks(hooks, model.layers, model.residual)
        with precision(spec.dtype):
            batch = jax.tree.map(lambda part: part[0], stack([prompt], spec))
            # A difference of two scores rounds by up to twice the score error: ties are within it, and 2T less it is near.
            ties = jnp.array(
                [(self.gains.spread(name) + 2 * error, 2 * self.gains.T - 2 * error) for name, error in self.gains.score_error],
                spec.dtype,
            )
            ask = partial(_run, hooks=hooks, step=_step) if hooks else _traced
            readings, record = ask(
                model.layers,
                batch,
                jnp.array(self.slots),
                ties,
                observe=self.parts.observe,
                residual=model.residual,
                m=spec.m,
                keep=keep,
            )
        readings, record = jax.tree.map(np.asarray, (readings, record))
        answer = self.parts.decode(self.gains, spec, prompt, "prompt", readings, enforce=enforce)
        real = np.concatenate([[True], np.repeat(batch.real, spec.n), np.ones(spec.n, bool)])
        names = [layer.name for layer in model.layers]
        return Trace(
            answer=answer,
            residual=model.residual,
            tokens=token_names(prompt.examples, spec.n),
            streams={name: stream[real] for name, stream in zip(["embed", *names], record.streams, strict=True)},
            gaps={name: seen.gap[:, real] for name, seen in zip(names, record.seen, strict=True)},
            near={name: seen.near[:, real] for name, seen in zip(names, record.seen, strict=True)},
            best={name: seen.best[:, real] for name, seen in zip(names, record.seen, strict=True)},
            attention={name: seen.attention[:, real][:, :, real] for name, seen in zip(names, record.seen, strict=True)}
            if keep
            else {},
        )


def _run(
    layers: Iterable[Layer],
    batch: Batch,
    slots: Array,
    ties: Array | None,
    *,
    observe: Callable[..., dict[str, Array]],
    residual: Residual,
    m: int,
    keep: bool = False,
    hooks: Hooks | None = None,
    step: object = apply_layer,
) -> tuple[Readings, Record]:
    """Run one prompt and pick the readings from the streams as they pass."""
    stream, real = embed(batch, residual, m)
    examples = batch.inputs.shape[0]
    found = {}

    def see(layer: Layer, before: Array, after: Array) -> None:
        found.update(observe(layer, before, after, slots, residual, examples))

    answer, record = run(layers, stream, real, residual, observe=see, hooks=hooks, ties=ties, keep=keep, step=step)
    return Readings(vector=residual.read(answer, "y"), **found), record


@partial(jax.jit, static_argnames=("observe", "residual", "m"))
def _batch(
    layers: Iterable[Layer], batch: Batch, slots: Array, *, observe: Callable[..., dict[str, Array]], residual: Residual, m: int
) -> Readings:
    return jax.vmap(lambda one: _run(layers, one, slots, None, observe=observe, residual=residual, m=m)[0])(batch)


@partial(jax.jit, static_argnames=("observe", "residual", "m", "keep"))
def _traced(
    layers: Iterable[Layer],
    batch: Batch,
    slots: Array,
    ties: Array,
    *,
    observe: Callable[..., dict[str, Array]],
    residual: Residual,
    m: int,
    keep: bool,
) -> tuple[Readings, Record]:
    return _run(layers, batch, slots, ties, observe=observe, residual=residual, m=m, keep=keep)


_step = partial(jax.jit, static_argnames=("keep", "answer_only"))(apply_layer)


def check_decided(spec: Spec, name: str, gap: np.ndarray, gains: Cold) -> None:
    """Recognize decides every residual that is at most rho or at least delta: its gap is T or more either way (Lemma 3)."""
    undecided = np.abs(gap) < gains.T - 2 * gains.error("recognize")
    if undecided.any():
        task, example = (int(i) for i in np.argwhere(undecided)[0])
        residual = gains.residual_norm(float(gap[task, example]))
        raise checks.refuse(
            f"{name} example {example}, task {task}",
            f"a residual of {residual:.6g}",
            f"must be at most tolerance = {spec.tolerance:.6g} or at least margin = {spec.margin:.6g}",
            "move the label, or build with a tolerance and margin that leave it outside",
        )


def check_output_norms(spec: Spec, examples: int, name: str, norms: np.ndarray, slack: float) -> None:
    """Refuse a task whose output on any input, whatever its slot, is longer than the radius by more than `slack`."""
    norms = np.concatenate([norms[:, :examples], norms[:, -1:]], axis=1)
    if norms.max() > spec.radius + slack:
        task, example, slot = (int(i) for i in np.unravel_index(norms.argmax(), norms.shape))
        where = "query" if example == examples else f"example {example}"
        raise checks.refuse(
            f"{name} {where}, slot {slot}",
            f"task {task} has an output of norm {norms.max():.6g} there",
            f"must be at most radius = {spec.radius:.6g}, also in slots that the task does not read (Lemma 3)",
            "build with a larger radius",
        )


def own_recognition(layer: Layer, before: Array, slots: Array, residual: Residual, examples: int) -> dict[str, Array]:
    """By task and example, how far its head at its slot scores the token above BOS; by task and input, its output's norm."""
    bank = layer.banks[0]
    gap = own_gap(bank, before)[:, 1:].reshape(bank.count, examples + 1, -1)
    # W_i f + b_i = (W_i f + b_i - y) + y, for every input of the examples and the query.
    rows = bank.W_K[...][:, bank.rows("residual")]
    miss = jnp.einsum("nd,had->hna", before[1:], rows, precision=jax.lax.Precision.HIGHEST)
    output = miss + residual.read(before[1:], "y")
    norm = jnp.sqrt((output**2).sum(-1)).reshape(bank.count, examples + 1, -1)
    return {"gap": jnp.take_along_axis(gap[:, :examples], slots[:, None, None], axis=2)[..., 0], "output_norm": norm[..., :-1]}
