"""How Theorem 1's transformer is asked and read: validate the prompt, run, decode the stream, refuse what is undecided.

The tasks that explain an example are read off the label's task code after Commit; an example between tolerance and margin is
found from Recognize's own score gaps, on the way.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from construct import checks
from construct.answer import ABSTAINED, Answer, Trace, token_names
from construct.forward import Record, apply_layer, check_hooks, own_gap, precision, run
from construct.prompt import Batch, Prompt, check_prompt, embed, stack
from construct.residual import Residual
from construct.spec import Spec
from construct.theorem1.gains import Gains
from construct.transformer import Hooks, Layer, Transformer


class Readings(NamedTuple):
    """What is read off one run: the answer, the labels' codes and flags, and Recognize's gaps and output norms."""

    vector: Float[Array, "d"]
    code: Float[Array, "m 2"]
    ok: Float[Array, "m"]
    gap: Float[Array, "K m"]
    output_norm: Float[Array, "K m+1 slots"]


@dataclass(frozen=True)
class Reading:
    """Theorem 1's way to ask a transformer; static and hashable, held by the model."""

    gains: Gains
    slots: tuple[int, ...]

    def answers(self, model: Transformer, prompts: list[Prompt], names: list[str], hooks: Hooks | None) -> list[Answer]:
        """Answer a batch of prompts, ragged or not, in one call. Raises ValueError on a hypothesis that does not hold."""
        spec = model.spec
        for prompt, name in zip(prompts, names, strict=True):
            check_prompt(spec, prompt, name, self.gains.input_radius)
        if hooks:
            return [self.trace(model, prompt, hooks, keep=False, enforce=False).answer for prompt in prompts]
        with precision(spec.dtype):
            readings = _batch(model.layers, stack(prompts, spec), np.array(self.slots), residual=model.residual, m=spec.m)
        readings = jax.tree.map(np.asarray, readings)
        return [
            self._decode(spec, prompt, name, Readings(*(part[i] for part in readings)), enforce=True)
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
            ties = jnp.array([(2 * error, 2 * self.gains.T - 2 * error) for _, error in self.gains.score_error], spec.dtype)
            slots = jnp.array(self.slots)
            if hooks:
                readings, record = _run(
                    model.layers, batch, slots, ties, residual=model.residual, m=spec.m, keep=keep, hooks=hooks, step=_step
                )
            else:
                readings, record = _traced(model.layers, batch, slots, ties, residual=model.residual, m=spec.m, keep=keep)
        readings, record = jax.tree.map(np.asarray, (readings, record))
        answer = self._decode(spec, prompt, "prompt", readings, enforce=enforce)
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

    def _decode(self, spec: Spec, prompt: Prompt, name: str, readings: Readings, enforce: bool) -> Answer:
        examples = prompt.examples
        if enforce:
            self._check_output_norms(spec, examples, name, readings.output_norm)
            self._check_decided(spec, name, readings.gap[:, :examples])
        recognized = decode_codes(readings.code[:examples], readings.ok[:examples], spec.K)
        counts = np.bincount(recognized[recognized != ABSTAINED], minlength=spec.K)
        return Answer(vector=readings.vector, recognized=recognized, counts=counts)

    def _check_decided(self, spec: Spec, name: str, gap: np.ndarray) -> None:
        """Lemma 3 decides every residual that is at most rho or at least delta: its gap is T or more either way."""
        undecided = np.abs(gap) < self.gains.T - 2 * self.gains.error("recognize")
        if undecided.any():
            task, example = (int(i) for i in np.argwhere(undecided)[0])
            residual = self.gains.residual_norm(float(gap[task, example]))
            raise checks.refuse(
                f"{name} example {example}, task {task}",
                f"a residual of {residual:.6g}",
                f"must be at most tolerance = {spec.tolerance:.6g} or at least margin = {spec.margin:.6g}",
                "move the label, or build with a tolerance and margin that leave it outside",
            )

    def _check_output_norms(self, spec: Spec, examples: int, name: str, norms: np.ndarray) -> None:
        norms = np.concatenate([norms[:, :examples], norms[:, -1:]], axis=1)
        if norms.max() > spec.radius + self.gains.residual:
            task, example, slot = (int(i) for i in np.unravel_index(norms.argmax(), norms.shape))
            where = "query" if example == examples else f"example {example}"
            raise checks.refuse(
                f"{name} {where}, slot {slot}",
                f"task {task} has an output of norm {norms.max():.6g} there",
                f"must be at most radius = {spec.radius:.6g}, also in slots that the task does not read (Lemma 3)",
                "build with a larger radius",
            )


def decode_codes(code: Float[np.ndarray, "m 2"], ok: Float[np.ndarray, "m"], K: int) -> Int[np.ndarray, "m"]:
    """The task whose code is nearest to each label's, where the label is committed; -1 elsewhere."""
    nearest = np.rint(np.arctan2(code[:, 1], code[:, 0]) * K / (2 * np.pi)).astype(np.int64) % K
    return np.where(ok > 0.5, nearest, ABSTAINED)


def _run(
    layers: Iterable[Layer],
    batch: Batch,
    slots: Array,
    ties: Array | None,
    *,
    residual: Residual,
    m: int,
    keep: bool = False,
    hooks: Hooks | None = None,
    step: object = apply_layer,
) -> tuple[Readings, Record]:
    """Run one prompt and pick the readings from the streams as they pass."""
    stream, real = embed(batch, residual, m)
    examples, inputs, _ = batch.inputs.shape
    found = {}

    def observe(layer: Layer, before: Array, after: Array) -> None:
        if layer.name == "recognize":
            bank = layer.banks[0]
            gap = own_gap(bank, before)[:, 1:].reshape(bank.count, examples + 1, inputs + 1)
            found["gap"] = jnp.take_along_axis(gap[:, :examples], slots[:, None, None], axis=2)[..., 0]
            # W_i f + b_i = (W_i f + b_i - y) + y, for every input of the examples and the query.
            rows = bank.W_K[...][:, bank.rows("residual")]
            miss = jnp.einsum("nd,had->hna", before[1:], rows, precision=jax.lax.Precision.HIGHEST)
            output = miss + residual.read(before[1:], "y")
            norm = jnp.sqrt((output**2).sum(-1)).reshape(bank.count, examples + 1, inputs + 1)
            found["output_norm"] = norm[..., :inputs]
        if layer.name == "commit":
            labels = after[1:].reshape(examples + 1, inputs + 1, -1)[:examples, -1]
            found["code"], found["ok"] = residual.read(labels, "z"), residual.read(labels, "ok")[:, 0]

    answer, record = run(layers, stream, real, residual, observe=observe, hooks=hooks, ties=ties, keep=keep, step=step)
    return Readings(vector=residual.read(answer, "y"), **found), record


@partial(jax.jit, static_argnames=("residual", "m"))
def _batch(layers: Iterable[Layer], batch: Batch, slots: Array, *, residual: Residual, m: int) -> Readings:
    return jax.vmap(lambda one: _run(layers, one, slots, None, residual=residual, m=m)[0])(batch)


@partial(jax.jit, static_argnames=("residual", "m", "keep"))
def _traced(
    layers: Iterable[Layer], batch: Batch, slots: Array, ties: Array, *, residual: Residual, m: int, keep: bool
) -> tuple[Readings, Record]:
    return _run(layers, batch, slots, ties, residual=residual, m=m, keep=keep)


_step = partial(jax.jit, static_argnames=("keep", "answer_only"))(apply_layer)
