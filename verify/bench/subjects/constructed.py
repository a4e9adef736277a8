"""The constructed subjects: a theorem's transformer on a task set's words.

Everything about them is known beforehand. `ideal` gives the streams that the theorem says, from the
definition alone. `ModelSubject` asks any transformer of `construct`, trained ones too.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from construct import Transformer
from construct.layers import in_dtype
from construct.prompt import Prompt
from verify.bench import tasksets
from verify.bench.subject import NOTHING, PLACES, Change, Run, Slopes
from verify.bench.tasksets import NOISE, Case, TaskSet
from verify.decoder import Touch, touched
from verify.ideal import ideal_streams
from verify.oracle import judge
from verify.theorem import ALL, Theorem


@partial(jax.jit, static_argnames=("rows", "at"))
def _look(
    model: Transformer, stream: Array, real: Array, touch: Touch, rows: tuple[int, ...], at: int
) -> tuple[Array, Array, Array]:
    """A batch's answer vectors, streams at the rows, and what the heads write at the token `at`."""

    def one(stream: Array, real: Array, touch: Touch) -> tuple[Array, Array, Array]:
        return _one(model, stream, real, touch, rows, at)

    return jax.vmap(one)(stream, real, touch)


def _one(
    model: Transformer,
    stream: Array,
    real: Array,
    touch: Touch,
    rows: tuple[int, ...],
    at: int = -1,
) -> tuple[Array, Array, Array]:
    streams, heads = [], []

    def change(layer: int) -> Any:
        def hook(value: Array) -> Array:
            parts = (touch.replace[layer], touch.vector[layer], touch.add[layer])
            value = touched(value, touch.at, *parts)
            streams.append(value[np.array(rows)])
            return value

        return hook

    def weigh(layer: int) -> Any:
        def hook(result: Array) -> Array:
            result = result * touch.keep[layer][:, None, None]
            heads.append(result[:, at])
            return result

        return hook

    hooks: dict[str, Any] = {"embed": change(0)}
    for i, layer in enumerate(model.layers):
        hooks[f"{layer.name}.attn.result"] = weigh(i)
        hooks[f"{layer.name}.resid_post"] = change(i + 1)
    last = model.forward(stream, real, hooks=hooks)
    vector = model.residual.read(last[rows[0]], "y")
    return vector, jnp.stack(streams, 1), jnp.stack(heads)


@partial(jax.jit, static_argnames=("rows",))
def _slopes(
    model: Transformer,
    stream: Array,
    real: Array,
    touch: Touch,
    direction: Array,
    rows: tuple[int, ...],
) -> tuple[Array, Array]:
    def one(stream: Array, real: Array, touch: Touch, direction: Array) -> tuple[Array, Array]:
        def difference(keep: Array, add: Array) -> Array:
            changed = touch._replace(keep=keep, add=add)
            return direction @ _one(model, stream, real, changed, rows)[0]

        return jax.grad(difference, (0, 1))(touch.keep, touch.add)

    return jax.vmap(one)(stream, real, touch, direction)


class ModelSubject:
    """A transformer of `construct`, whatever became of its weights. Answers are coordinates of the
    answer vector: on one-hot words that is a distribution over words. There is no softmax at the
    end."""

    kind = "trained"
    softmax = False
    batch = 25

    def __init__(self, name: str, dtype: str) -> None:
        self.name, self.dtype, self.size = name, dtype, 0
        self.layers: tuple[str, ...] = ()
        self.heads = 0

    def use(self, model: Transformer, tasks: TaskSet) -> None:
        """Ask this model, whose tasks are these, from now on."""
        self.model, self.tasks = model, tasks
        self.layers = tuple(layer.name for layer in model.layers)
        self.heads = model.spec.K
        with in_dtype(self.dtype):
            self.size = sum(leaf.size for leaf in jax.tree.leaves(model))

    def prompt(self, one: Case) -> Prompt:
        """The vectors of a case."""
        return self.tasks.family.prompt(one.lines, one.query)

    def zero_shot(self, tasks: TaskSet, case: Case) -> Case:
        """A prompt needs a line: one that no task explains is no evidence."""
        return tasksets.case(tasks, np.random.default_rng(0), [NOISE], case.query)

    def unembed(self, words: Sequence[str]) -> Float[np.ndarray, "Y D"]:
        """A word's coordinate of the answer, on the stream."""
        residual = self.model.residual
        rows = residual["y"]
        return rows[[self.tasks.family.coordinate[word] for word in words]]

    def rows(self, lines: int) -> tuple[int, ...]:
        """The tokens of `PLACES`, of a prompt of so many lines."""
        n = self.model.spec.n
        return (-1, n * lines, n * lines - 1, -2)

    def run(
        self, cases: Sequence[Case], change: Change | None = None, heads: str | None = None
    ) -> Run:
        """Ask prompts, in batches; all are of as many lines."""
        place = PLACES.index(heads or "answer")
        with in_dtype(self.dtype):
            return Run.join(
                [
                    self._shown(part, *_look(self.model, stream, real, touch, rows, rows[place]))
                    for part, stream, real, touch in self._batches(cases, change)
                    for rows in [self.rows(len(part[0].lines))]
                ]
            )

    def _shown(self, part: list[Case], *found: Array) -> Run:
        vector, streams, heads = (np.asarray(one)[: len(part)] for one in found)
        coordinate = self.tasks.family.coordinate
        said = np.array(sorted({coordinate[word] for word in self._labels()}))
        places = np.array([[coordinate[word] for word in one.answers] for one in part])
        answers = np.take_along_axis(vector, places, 1)
        ranked = np.sort(vector, 1)[:, ::-1]
        return Run(
            answers=answers,
            first=answers,
            ranked=ranked[:, : places.shape[1]],
            inside=vector[:, said].sum(1),
            # Nothing is answered where the vector is 0.
            top_inside=np.isin(vector.argmax(1), said) & (ranked[:, 0] > NOTHING),
            streams=streams,
            heads=heads,
            scale=np.ones(len(part)),
        )

    def _labels(self) -> set[str]:
        family = self.tasks.family
        said = {word for words in family.rows for word in family.answers(words)}
        return (said or set(family.vocabulary)) & set(family.vocabulary)

    def slopes(self, cases: Sequence[Case], pair: tuple[int, int]) -> Slopes:
        """Slopes of the difference of two answers' probabilities."""
        parts = []
        coordinate = self.tasks.family.coordinate
        with in_dtype(self.dtype):
            for part, stream, real, touch in self._batches(cases, None):
                direction = np.zeros((len(stream), self.model.spec.d))
                for row, one in zip(direction, part, strict=False):
                    row[coordinate[one.answers[pair[0]]]] += 1
                    row[coordinate[one.answers[pair[1]]]] -= 1
                rows = self.rows(len(part[0].lines))
                found = _slopes(self.model, stream, real, touch, direction, rows)
                parts.append([np.asarray(one)[: len(part)] for one in found])
        return Slopes(*(np.concatenate(one) for one in zip(*parts, strict=True)))

    def _batches(self, cases: Sequence[Case], change: Change | None):
        """Batches of one size, the last filled up, so that one program serves them all."""
        change = change or Change()
        for start in range(0, len(cases), self.batch):
            part = list(cases[start : start + self.batch])
            prompts = [self.prompt(one) for one in part]
            prompts += [prompts[-1]] * (self.batch - len(part))
            arrays = (
                np.stack([getattr(one, name) for one in prompts])
                for name in ("inputs", "labels", "query")
            )
            stream, real = self.model.embed(*arrays)
            touch = [
                self._touch(change, len(part[0].lines), stream.shape[1:], start + j)
                for j in range(self.batch)
            ]
            yield part, stream, real, Touch(*map(np.stack, zip(*touch, strict=True)))

    def _touch(self, change: Change, lines: int, size: tuple[int, ...], index: int) -> Touch:
        L, (N, D), n = len(self.layers), size, self.model.spec.n
        keep = np.ones((L, self.heads)) if change.keep is None else change.keep
        at, replaced = np.zeros(N), np.zeros(L + 1)
        vector, add = np.zeros((2, L + 1, D))
        at[np.arange(1, lines + 1) * n if change.target == "labels" else -1] = 1
        if change.layer is not None and change.vector is not None:
            several = change.vector.ndim == 2
            own = change.vector[min(index, len(change.vector) - 1)] if several else change.vector
            (add if change.add else vector)[change.layer] = own
            replaced[change.layer] = 0 if change.add else 1
        return Touch(*(part.astype(self.dtype) for part in (keep, at, replaced, vector, add)))


class Constructed(ModelSubject):
    """A theorem's transformer as it was built, and what the theorem says of it."""

    kind = "constructed"

    def __init__(self, number: int, dtype: str = "float64") -> None:
        super().__init__(f"theorem{number}", dtype)
        self.theorem: Theorem = ALL[number]

    def prepare(self, tasks: TaskSet, lines: int) -> None:
        """Build the transformer for a task set."""
        family = tasks.family
        spec = replace(family.spec(lines), dtype=self.dtype)
        self.use(self.theorem.build(spec, family.tasks, family.feature_map), tasks)

    @property
    def error_bound(self) -> float:
        """How far the theorem lets an answer's coordinate be off."""
        return self.theorem.proof.error_bound(self.model.spec)

    def ideal(self, cases: Sequence[Case]) -> Float[np.ndarray, "P places L1 D"]:
        """The streams that the theorem's definition gives, laid out as `Run.streams`."""
        return np.stack([self._ideal(one) for one in cases])

    def _ideal(self, one: Case) -> Float[np.ndarray, "places L1 D"]:
        spec, residual, prompt = self.model.spec, self.model.residual, self.prompt(one)
        family = self.tasks.family
        verdict = judge(
            family.tasks, prompt, spec.tolerance, spec.margin, family.feature_map, spec.sum_slot
        )
        rows = list(self.rows(len(one.lines)))
        streams = [
            np.concatenate([stream[name][rows] for name in residual.names], 1)
            for stream in ideal_streams(self.theorem, spec, family.tasks, prompt, verdict)
        ]
        assert len(rows) == len(PLACES)
        return np.stack(streams, 1)
