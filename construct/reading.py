"""How a transformer is asked and read: validate the prompt, run, decode the stream, refuse what is
undecided.

`Reading` is shared by all theorems; what to observe and how to decode it are a theorem's own
`Parts`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from construct import checks
from construct.answer import Answer, Trace, answer_of, token_names
from construct.bf16 import Pieces, pieces_of
from construct.forward import (
    Record,
    apply_layer,
    check_hooks,
    over_prompts,
    own_gap,
    precision,
    run,
)
from construct.gains import Cold
from construct.prompt import Batch, Prompt, check_prompt, check_query, embed, stack
from construct.residual import Residual
from construct.restricted.attention import Scores
from construct.restricted.certificate import certificate
from construct.restricted.mesh import check_mesh
from construct.restricted.streaming import stream
from construct.spec import Spec
from construct.transformer import Hooks, Layer, Transformer, remembered

# Up to so many tokens the dense pass answers, and batches: measured on two cores (see
# benchmarks/peers.py for what is near it). Results do not depend on it.
DENSE_TOKENS = 128


class Readings(NamedTuple):
    """What is read off one run: the answer, Recognize's gaps and output norms, and where the
    theorem has them the labels' task codes and flags, and the norms of outputs in their task's own
    slot."""

    vector: Float[Array, "d"] | None
    gap: Float[Array, "K m"] | None
    output_norm: Float[Array, "K groups slots"] | None
    code: Float[Array, "m code"] | None = None
    ok: Float[Array, "m"] | None = None
    own_norm: Float[Array, "K m"] | None = None


class Outputs(NamedTuple):
    """Where a task's output W_i f + b_i can be read off: a layer's term, whose key side is it
    (`plus`: less that subspace)."""

    layer: str
    term: str
    plus: str | None

    def rows(self, model: Transformer) -> Float[np.ndarray, "K d D"]:
        """The stored rows that read every task's output off an input token."""
        (bank,) = model.layer(self.layer).banks
        rows = np.array(bank.W_K[...])[:, bank.rows(self.term)]
        return rows if self.plus is None else rows + model.residual[self.plus].astype(rows.dtype)


class Parts(NamedTuple):
    """What differs between theorems.

    observe(layer, before, after, slots, residual, m') gives readings by name after a layer of the
    dense pass; survey(layer, class, after, scores, slots) the same of the restricted one.
    decode(gains, spec, labels, name, readings, enforce, first) checks the hypotheses on them and
    gives what each example was recognized as. slack(gains, spec): what an output's computed norm
    may exceed the radius by. outputs: where the outputs are. always: also check what no gap or
    output norm tells.
    """

    observe: Callable[..., dict[str, Array]]
    survey: Callable[..., dict[str, Array]]
    decode: Callable[..., np.ndarray]
    slack: Callable[..., float]
    outputs: Outputs
    always: bool


@dataclass(frozen=True)
class Reading:
    """A theorem's way to ask a transformer; static and hashable, held by the model."""

    gains: Cold
    slots: tuple[int, ...]
    parts: Parts

    def answers(
        self,
        model: Transformer,
        prompts: list[Prompt],
        names: list[str],
        hooks: Hooks | None,
        evaluator: str | None,
    ) -> list[Answer]:
        """Answer prompts, ragged or not: the short ones as one dense batch, long ones one by one by
        the restricted evaluator.

        Raises ValueError on a hypothesis that does not hold, and if the evaluator that is asked for
        cannot be had.
        """
        spec = model.spec
        for prompt, name in zip(prompts, names, strict=True):
            check_prompt(spec, prompt, name, self.gains.input_radius)
        if hooks:
            if evaluator not in (None, "dense"):
                raise checks.refuse(
                    "evaluator",
                    repr(evaluator),
                    "hooks need the dense evaluator",
                    "leave out one of the two",
                )
            return [
                self.trace(model, prompt, hooks, keep=False, enforce=False).answer
                for prompt in prompts
            ]
        evaluators = [evaluator_for(model, prompt.tokens, evaluator) for prompt in prompts]
        dense = [i for i, one in enumerate(evaluators) if one != "restricted"]
        together = self._dense(
            model,
            [prompts[i] for i in dense],
            [names[i] for i in dense],
            narrow=evaluator == "bf16",
        )
        answers = dict(zip(dense, together, strict=True))
        for i, (prompt, name) in enumerate(zip(prompts, names, strict=True)):
            if evaluators[i] == "restricted":
                answers[i] = stream(
                    self, model, [(prompt.inputs, prompt.labels)], prompt.query, name=name
                )
        return [answers[i] for i in range(len(prompts))]

    def stream(
        self,
        model: Transformer,
        blocks: Iterable[Any],
        query: Any,
        progress: Callable[[int], None] | None,
        screen: bool | None,
        mesh: Mesh | None,
    ) -> Answer:
        """Answer a prompt whose examples come in blocks, by the restricted evaluator. Raises
        ValueError as `answers` does."""
        certificate(model).require()
        if mesh is not None:
            check_mesh(model.spec, mesh)
        query = checks.floats("query", query, ("n-1", "d"))
        checks.shape("query", query, (model.spec.n - 1, model.spec.d), "(n-1, d)")
        check_query(model.spec, query, "prompt", self.gains.input_radius)
        return stream(
            self, model, blocks, query, name="prompt", progress=progress, screen=screen, mesh=mesh
        )

    def settle(
        self,
        spec: Spec,
        name: str,
        labels: np.ndarray,
        survey: dict[str, np.ndarray],
        first: int,
        doubtful: bool,
    ) -> Int[np.ndarray, "m"]:
        """The tasks of a chunk of examples off the restricted evaluator's survey, whose output
        norms are (K, m' + 1, n - 1).

        Raises ValueError where a hypothesis fails; `doubtful`: the device could not rule that out,
        and kept gaps and norms.
        """
        norms = survey.get("output_norm")
        own = (
            None
            if norms is None
            else np.take_along_axis(norms[:, :-1], np.array(self.slots)[:, None, None], axis=2)[
                ..., 0
            ]
        )
        code = survey["code"].T if "code" in survey else None
        readings = Readings(None, survey.get("gap"), norms, code, survey.get("ok"), own)
        return self.parts.decode(
            self.gains,
            spec,
            labels,
            name,
            readings,
            enforce=doubtful or self.parts.always,
            first=first,
        )

    def _answer(
        self,
        spec: Spec,
        prompt: Prompt,
        name: str,
        readings: Readings,
        enforce: bool,
        evaluator: str = "dense",
    ) -> Answer:
        recognized = self.parts.decode(
            self.gains, spec, prompt.labels, name, readings, enforce=enforce, first=0
        )
        return answer_of(readings.vector, recognized, spec.K, evaluator)

    def _dense(
        self, model: Transformer, prompts: list[Prompt], names: list[str], narrow: bool = False
    ) -> list[Answer]:
        """One dense pass; `narrow` multiplies bfloat16 numbers in it, and refuses a prompt for
        which that is not exact."""
        spec = model.spec
        if not prompts:
            return []
        pieces = remembered(model, ("pieces",), lambda: pieces_of(model)) if narrow else None
        with precision(spec.dtype):
            readings = _batch(
                model.layers,
                stack(prompts, spec),
                np.array(self.slots),
                observe=self.parts.observe,
                residual=model.residual,
                m=spec.m,
                pieces=pieces,
            )
        readings = jax.tree.map(np.asarray, readings)
        answers = []
        for i, (prompt, name) in enumerate(zip(prompts, names, strict=True)):
            one = jax.tree.map(lambda part, i=i: part[i], readings)
            if narrow and np.isnan(one.vector).any():
                self._dense(
                    model, [prompt], [name]
                )  # a hypothesis that does not hold is the better reason
                raise checks.refuse(
                    f"{name}: evaluator",
                    "'bf16'",
                    "multiplies numbers of 8 bits, and with these weights this prompt makes it "
                    "multiply others",
                    "use evaluator='dense', or inputs, labels and matrices of small integers",
                )
            answers.append(
                self._answer(
                    spec, prompt, name, one, enforce=True, evaluator="bf16" if narrow else "dense"
                )
            )
        return answers

    def trace(
        self, model: Transformer, prompt: Prompt, hooks: Hooks | None, keep: bool, enforce: bool
    ) -> Trace:
        """Answer one prompt and record every layer; `enforce` refuses a run that shows a hypothesis
        to fail."""
        spec = model.spec
        check_prompt(spec, prompt, "prompt", self.gains.input_radius)
        check_hooks(hooks, model.layers, model.residual)
        with precision(spec.dtype):
            batch = jax.tree.map(lambda part: part[0], stack([prompt], spec))
            # A difference of two scores rounds by up to twice the score error: ties are within it,
            # and 2T less it is near.
            ties = jnp.array(
                [
                    (self.gains.spread(name) + 2 * error, 2 * self.gains.T - 2 * error)
                    for name, error in self.gains.score_error
                ],
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
        answer = self._answer(spec, prompt, "prompt", readings, enforce)
        real = np.concatenate([[True], np.repeat(batch.real, spec.n), np.ones(spec.n, bool)])
        names = [layer.name for layer in model.layers]
        return Trace(
            answer=answer,
            residual=model.residual,
            tokens=token_names(prompt.examples, spec.n),
            streams={
                name: stream[real]
                for name, stream in zip(["embed", *names], record.streams, strict=True)
            },
            gaps={name: seen.gap[:, real] for name, seen in zip(names, record.seen, strict=True)},
            near={name: seen.near[:, real] for name, seen in zip(names, record.seen, strict=True)},
            best={name: seen.best[:, real] for name, seen in zip(names, record.seen, strict=True)},
            attention={
                name: seen.attention[:, real][:, :, real]
                for name, seen in zip(names, record.seen, strict=True)
            }
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
    pieces: tuple[tuple[Pieces | None, ...], ...] | None = None,
) -> tuple[Readings, Record]:
    """Run one prompt and pick the readings from the streams as they pass."""
    stream, real = embed(batch, residual, m)
    examples = batch.inputs.shape[0]
    found = {}

    def see(layer: Layer, before: Array, after: Array) -> None:
        found.update(observe(layer, before, after, slots, residual, examples))

    answer, record = run(
        layers,
        stream,
        real,
        residual,
        observe=see,
        hooks=hooks,
        ties=ties,
        keep=keep,
        step=step,
        pieces=pieces,
    )
    return Readings(vector=residual.read(answer, "y"), **found), record


@partial(jax.jit, static_argnames=("observe", "residual", "m", "pieces"))
def _batch(
    layers: Iterable[Layer],
    batch: Batch,
    slots: Array,
    *,
    observe: Callable[..., dict[str, Array]],
    residual: Residual,
    m: int,
    pieces: tuple[tuple[Pieces | None, ...], ...] | None = None,
) -> Readings:
    tokens = 1 + (batch.real.shape[1] + 1) * (batch.inputs.shape[2] + 1)
    scores = max(layer.heads for layer in layers) * tokens**2 * batch.inputs.dtype.itemsize
    ask = partial(_run, observe=observe, residual=residual, m=m, pieces=pieces)
    return over_prompts(lambda one: ask(layers, one, slots, None)[0], batch, scores)


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


def evaluator_for(model: Transformer, tokens: int, evaluator: str | None) -> str:
    """Which evaluator a prompt goes to: the one that is asked for, or by size 'dense' or
    'restricted'.

    Raises ValueError for an unknown name, weights without certificate ('restricted'), or another
    dtype than float32 ('bf16').
    """
    if evaluator is None:
        return "restricted" if tokens > DENSE_TOKENS and certificate(model).valid else "dense"
    if evaluator not in ("dense", "bf16", "restricted"):
        raise checks.refuse(
            "evaluator",
            repr(evaluator),
            "must be 'dense', 'bf16' or 'restricted'",
            "leave it out to pick by size",
        )
    if evaluator == "restricted":
        certificate(model).require()
    if evaluator == "bf16" and model.spec.dtype != "float32":
        raise checks.refuse(
            "evaluator",
            "'bf16'",
            f"keeps its sums in float32, and cannot give the answer in {model.spec.dtype}",
            "use evaluator='dense', or build with dtype='float32'",
        )
    return evaluator


def check_decided(spec: Spec, name: str, gap: np.ndarray, gains: Cold, first: int = 0) -> None:
    """Recognize decides every residual that is at most rho or at least delta: its gap is T or more
    either way (Lemma 3)."""
    undecided = ~(np.abs(gap) >= gains.T - 2 * gains.error("recognize"))
    if undecided.any():
        task, example = (int(i) for i in np.argwhere(undecided)[0])
        residual = gains.residual_norm(float(gap[task, example]))
        raise checks.refuse(
            f"{name} example {first + example}, task {task}",
            f"a residual of {residual:.6g}",
            f"must be at most tolerance = {spec.tolerance:.6g} or at least margin = "
            f"{spec.margin:.6g}",
            "move the label, or build with a tolerance and margin that leave it outside",
        )


def check_output_norms(
    spec: Spec, examples: int, name: str, norms: np.ndarray, slack: float, first: int = 0
) -> None:
    """Refuse a task whose output on any input, whatever its slot, is longer than the radius by more
    than `slack`."""
    norms = np.concatenate([norms[:, :examples], norms[:, -1:]], axis=1)
    if norms.max() > spec.radius + slack:
        task, example, slot = (int(i) for i in np.unravel_index(norms.argmax(), norms.shape))
        where = "query" if example == examples else f"example {first + example}"
        raise checks.refuse(
            f"{name} {where}, slot {slot}",
            f"task {task} has an output of norm {norms.max():.6g} there",
            f"must be at most radius = {spec.radius:.6g}, also in slots that the task does not "
            "read (Lemma 3)",
            "build with a larger radius",
        )


def own_recognition(
    layer: Layer, before: Array, slots: Array, residual: Residual, examples: int
) -> dict[str, Array]:
    """By task and example, how far its head at its slot scores the token above BOS; by task and
    input, its output's norm."""
    bank = layer.banks[0]
    gap = own_gap(bank, before)[:, 1:].reshape(bank.count, examples + 1, -1)
    # W_i f + b_i = (W_i f + b_i - y) + y, for every input of the examples and the query.
    rows = bank.W_K[...][:, bank.rows("residual")]
    miss = jnp.einsum("nd,had->hna", before[1:], rows, precision=jax.lax.Precision.HIGHEST)
    output = miss + residual.read(before[1:], "y")
    norm = jnp.sqrt((output**2).sum(-1)).reshape(bank.count, examples + 1, -1)
    return {
        "gap": jnp.take_along_axis(gap[:, :examples], slots[:, None, None], axis=2)[..., 0],
        "output_norm": norm[..., :-1],
    }


def gap_at_slots(scores: list[list[Scores]], slots: Int[Array, "K"]) -> Float[Array, "K m"]:
    """By task and example, how far its head scores the input in its slot above BOS: of the
    restricted evaluator's scores.

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
    return jnp.take_along_axis(gap, jnp.minimum(slots, gap.shape[1] - 1)[:, None, None], axis=1)[
        :, 0
    ]
