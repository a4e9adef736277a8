"""A prompt as a memory: what its examples leave for any query, kept once and asked again and again.

What the encoding layers leave at an example does not depend on the query, and examples that were
recognized as the same task leave the same z, ok and count (w in Theorem 3), bit by bit. So one
example a task stands for all of them: the decoding layers run on these few representatives, and the
softmax in which the examples meet weighs each as often as its task occurs, which is the
transformer's own attention with equal keys merged. Abstained examples have weight 0 there and leave
nothing. It is this model's prefix cache, of a size that does not grow with the prompt.

No attention weight of the decoding layers depends on what the query holds, so the answer is one
affine function of the query's features: `Memory.map`, those same layers at features 0 and their
derivatives there. Bounds: `proofs.memory`, proof in proofs/README.md, section 9. Ours.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from construct import checks, saved
from construct.answer import ABSTAINED, Answer
from construct.evaluate import chunk, recall
from construct.evaluate.certificate import certificate
from construct.evaluate.joined import Joined, join
from construct.evaluate.prepared import Prepared, prepare
from construct.evaluate.program import Classes
from construct.evaluate.streaming import UNDER_WAY, Query, Run, blocks_of, check_block, rechunk
from construct.layers import Stack, in_dtype, remembered
from construct.prompt import check_queries, check_query
from construct.readout import check_output_norms
from construct.spec import Spec

# Queries that are checked and multiplied at once, few enough to stay in a core's cache in between.
# A matter of speed alone.
ROWS = 1 << 11


class Affine(NamedTuple):
    """What a prompt teaches: the answer to a query is bias + sum_p weight[p] phi(x_p), over its
    slots p, within the theorem's error. In exact arithmetic weight[p] is the sum of m_i/M W_i over
    the tasks that read slot p, and the bias that of m_i/M b_i over all tasks."""

    weight: Float[np.ndarray, "slots d r"]
    bias: Float[np.ndarray, "d"]


class Memory:
    """The examples of a prompt, ready for any query; `model.remember` makes it.

    It keeps of every example the task that it was recognized as, and of every task one example,
    as long as the task has any: forgetting that very example leaves it, as it stands for the rest.
    """

    def __init__(self, model: Stack) -> None:
        spec = model.spec
        certificate(model).require()
        _require_built(model)
        self.model = model
        # Kept here: every answer asks first whether the weights are still those.
        self._ready: Prepared = remembered(
            model, ("restricted", None), partial(prepare, model, None)
        )
        self.counts = np.zeros(spec.K, np.int64)  # m_i
        self._space = np.zeros(0, np.int64)  # of the tasks recognized, with room to grow
        self._length = 0
        self._inputs = np.zeros((spec.K, spec.n - 1, spec.d), spec.dtype)
        self._labels = np.zeros((spec.K, spec.d), spec.dtype)
        self._beside: Query | None = None
        self._changed()

    def __len__(self) -> int:
        """The number of examples m'."""
        return self._length

    def __repr__(self) -> str:
        tasks = int((self.counts > 0).sum())
        return (
            f"Memory of {len(self)} examples: {self.counts.sum()} of {tasks} tasks count; "
            f"Theorem {self.model.readout.theorem}, K = {self.model.spec.K}"
        )

    @property
    def recognized(self) -> Int[np.ndarray, "m"]:
        """The task of each example, -1 where the transformer abstained; read-only."""
        view = self._space[: self._length]
        view.setflags(write=False)
        return view

    def ask(self, query: Any) -> Answer:
        """The answer to a query (n-1, d), or to many of them (queries, n-1, d) at once: one Answer,
        whose vector is then (queries, d).

        The decoding layers run for one query; for many, their affine map is applied. Raises
        ValueError for what is no query, for one outside the hypotheses, as a call does, and when
        the model's weights were changed.
        """
        _require_built(self.model)
        query = checks.numbers("query", query)
        with in_dtype(self.model.spec.dtype):
            many = query.ndim == 3
            vector = self._apply(query) if many else self._decode(query)
        return Answer(vector, self.recognized, self.model.spec.K, "memory", counted=self.counts)

    @property
    def map(self) -> Affine:
        """What the prompt teaches, as one affine map: of the query's features, or of the inputs
        themselves where phi is the identity. A sum slot counts as an input, once filled."""
        _require_built(self.model)
        if self._map is None:
            with in_dtype(self.model.spec.dtype):
                kept, times = self._held()
                found = recall.affine(self._ready.plan, kept, times, features=self._features)
            self._map = Affine(*(np.asarray(part) for part in found))
        return self._map

    def extend(
        self,
        examples: Any,
        *,
        progress: Callable[[int], None] | None = None,
        screen: bool | None = None,
        mesh: Mesh | None = None,
    ) -> None:
        """Remember more examples, after those that are there: a Prompt's, or blocks as `stream`
        takes them.

        progress, screen, mesh: as in `stream`. Raises ValueError as `stream` does, and then
        remembers nothing of them.
        """
        spec, model = self.model.spec, self.model
        _require_built(model)
        checks.function("progress", progress)
        blocks, stand_in = _first_input(spec, blocks_of("examples", examples))
        if stand_in is None:
            return
        inputs, labels, counts = self._inputs.copy(), self._labels.copy(), self.counts.copy()

        def keep(tasks: Int[np.ndarray, "c"], x: np.ndarray, y: np.ndarray) -> None:
            """Note a chunk's tasks, and the first example of each that has none yet."""
            there, first = np.unique(tasks, return_index=True)
            for task, at in zip(there, first, strict=True):
                if task != ABSTAINED and not counts[task]:
                    inputs[task], labels[task] = x[at], y[at]
            counts[:] += np.bincount(tasks[tasks != ABSTAINED], minlength=spec.K)

        with in_dtype(spec.dtype), ThreadPoolExecutor(UNDER_WAY) as threads:
            # No example sees the query before the layer in which they meet. The one that runs
            # beside them is that of the first example of all, which keeps the hypotheses as they
            # do.
            beside = stand_in if self._beside is None else self._beside
            run = Run(model, beside, "prompt", screen, threads, mesh, first=len(self), keep=keep)
            for x, y in rechunk(blocks, spec, run.devices.chunk):
                run.take(x, y)
                if progress is not None:
                    progress(run.first)
            tasks = run.tasks()
        self._beside = run.query
        self._grow(tasks)
        self._inputs, self._labels, self.counts = inputs, labels, counts
        self._changed()

    def forget(self, indices: Any) -> None:
        """Forget the examples at these places of `recognized`; the others move up. Raises
        ValueError for a place that is not there, or is named twice."""
        try:
            places = np.asarray(indices)
        except ValueError:
            raise checks.refuse(
                "indices", "a ragged sequence", "must be whole numbers in one row", "flatten it"
            ) from None
        if not places.size:
            return
        if places.ndim != 1 or places.dtype.kind not in "iu":
            raise checks.refuse(
                "indices",
                f"an array of {places.dtype} of shape {places.shape}",
                "must be whole numbers in one row",
                "name each example by its place in `recognized`",
            )
        outside = (places < 0) | (places >= len(self))
        if outside.any() or len(np.unique(places)) < len(places):
            wrong = places[outside][0] if outside.any() else "a place twice"
            raise checks.refuse(
                "indices",
                wrong,
                f"must be different places from 0 to {len(self) - 1}",
                "name each example by its place in `recognized`",
            )
        gone = self.recognized[places]
        self.counts = self.counts - np.bincount(
            gone[gone != ABSTAINED], minlength=self.model.spec.K
        )
        stays = np.ones(len(self), bool)
        stays[places] = False
        kept = self.recognized[stays]
        self._space, self._length = _with_room(kept), len(kept)
        self._inputs, self._labels = self._inputs.copy(), self._labels.copy()
        self._inputs[self.counts == 0], self._labels[self.counts == 0] = 0, 0
        self._changed()

    def save(self, path: str | os.PathLike) -> None:
        """Write the memory to one safetensors file, without the model. Raises ValueError as the
        model's `save` does, and when the model's weights were changed."""
        _require_built(self.model)
        tensors = {"recognized": self.recognized, "inputs": self._inputs, "labels": self._labels}
        header = {"theorem": self.model.readout.theorem, "weights": saved.fingerprint(self.model)}
        saved.write("memory", path, tensors, header)

    @classmethod
    def load(cls, path: str | os.PathLike, model: Stack) -> "Memory":
        """The memory that `save` wrote, of this very model. Raises ValueError for a file that is
        damaged, foreign or newer, and for another model's."""
        checks.instance("model", model, Stack, "pass the model that it was made with")
        tensors, header = saved.read("memory", path)
        if header["weights"] != saved.fingerprint(model):
            raise checks.refuse(
                "model",
                f"Theorem {model.readout.theorem}'s, with other weights",
                f"must be the model of Theorem {header['theorem']} that {os.fspath(path)!r} was "
                "made with",
                "save the model beside the memory, and load both",
            )
        memory = cls(model)
        memory._space = tensors["recognized"].astype(np.int64)
        memory._length = len(memory._space)
        counted = memory._space[memory._space != ABSTAINED]
        memory.counts = np.bincount(counted, minlength=model.spec.K)
        memory._inputs, memory._labels = tensors["inputs"], tensors["labels"]
        memory._changed()
        return memory

    def _changed(self) -> None:
        """Forget what followed from the examples that were there."""
        self._map: Affine | None = None
        self._state: tuple[Classes, Array] | None = None
        self._joined: Joined | None = None
        self.counts.setflags(write=False)

    def _grow(self, tasks: Int[np.ndarray, "c"]) -> None:
        """Append to the tasks recognized; what was handed out before stays as it is."""
        length = self._length + len(tasks)
        if length > len(self._space):
            self._space = _with_room(self._space[: self._length], length)
        self._space[self._length : length] = tasks
        self._length = length

    @property
    def _features(self) -> tuple[str, str]:
        """The role of the tokens at which the decoding layers find the query's features, and the
        subspace that holds them."""
        features = self.model.readout.features
        assert features is not None, "every theorem that a memory serves says where they are"
        role, name = features
        return role, dict(self.model.residual.aliases).get(name, name)

    def _held(self) -> tuple[Classes, Array]:
        """The representatives before the first decoding layer, task by task, and how many each
        stands for."""
        if self._state is None:
            kept = recall.encode(self._ready.plan, self._inputs, self._labels)
            self._state = kept, jnp.asarray(self.counts, self.model.spec.dtype)
        return self._state

    def _decode(self, query: Any) -> Float[np.ndarray, "d"]:
        spec, model, ready = self.model.spec, self.model, self._ready
        query = checks.floats("query", query, ("n-1", "d"))
        checks.shape("query", query, (spec.n - 1, spec.d), "(n-1, d)")
        check_query(spec, query, "memory", model.gains.input_radius)
        query = query.astype(spec.dtype)
        if self._joined is None:
            self._joined = join(self._held(), spec.dtype)
        row = recall.decode(ready.joined, self._joined, query, variant=ready.variant)
        *_, longest = found = np.asarray(row)
        if not longest <= ready.limits.output:
            self._check_outputs("memory", query)
        return found[:-1]

    def _check_outputs(self, name: str, query: Float[np.ndarray, "slots d"]) -> None:
        """The outputs' norms on a query, by the layers; what is too long is refused in a call's own
        words."""
        spec, model, ready = self.model.spec, self.model, self._ready
        _, found = chunk.start_query(
            ready.plan, ready.norms, ready.limits, query, variant=ready.variant
        )
        norms = np.asarray(found)
        if not norms.max() <= ready.limits.output:
            slack = model.readout.norm_slack(spec, model.gains)
            check_output_norms(spec, 0, name, norms.swapaxes(1, 2), slack)

    def _apply(self, queries: Any) -> Float[np.ndarray, "queries d"]:
        """The affine map at many queries, block by block; every hypothesis is checked on each."""
        spec, ready = self.model.spec, self._ready
        queries = _check_many(spec, queries)
        weight, bias = self.map
        matrix = np.ascontiguousarray(weight.transpose(0, 2, 1)).reshape(-1, spec.d)
        vector = np.empty((len(queries), spec.d), spec.dtype)
        plain = not spec.features and not spec.sum_slot
        limit = self.model.gains.input_radius
        for start in range(0, len(queries), ROWS):
            part = queries[start : start + ROWS]
            check_queries(spec, part, "memory", limit, start)
            part = part.astype(spec.dtype, copy=False)
            phi = part if plain else self._lifted(part)
            if not _outputs_fit(ready, phi):
                for i, query in enumerate(part, start):
                    self._check_outputs(f"memory.queries[{i}]", query)
            rows = vector[start : start + len(part)]
            np.matmul(phi.reshape(len(phi), -1), matrix, out=rows)
            rows += bias
        return vector

    def _lifted(self, queries: Float[np.ndarray, "b slots d"]) -> Float[np.ndarray, "b slots r"]:
        """The queries' features, as the layers leave them where the decoding layers read them."""
        full = np.zeros((ROWS, *queries.shape[1:]), queries.dtype)
        full[: len(queries)] = queries
        found = recall.lift(self._ready.plan, self._held()[0], full, features=self._features)
        return np.asarray(found)[: len(queries)]


def _with_room(tasks: Int[np.ndarray, "m"], length: int | None = None) -> Int[np.ndarray, "room"]:
    """A copy with room for half as many again as `length` (default: as they are); memory that
    nothing is written to costs nothing."""
    length = len(tasks) if length is None else length
    space = np.empty(length + length // 2, np.int64)
    space[: len(tasks)] = tasks
    return space


def remember(model: Stack, examples: Any, **how: Any) -> Memory:
    """A memory of a Prompt's examples, or of blocks as `stream` takes them; `how` as in
    `Memory.extend`, which says what is refused. At least one example is needed."""
    memory = Memory(model)
    memory.extend(examples, **how)
    if not len(memory):
        raise checks.refuse(
            "examples",
            "no examples",
            "a prompt needs at least one example",
            "pass a Prompt, or yield a block of b >= 1 examples",
        )
    return memory


def _require_built(model: Stack) -> None:
    """Refuse weights that were changed: that one example stands for all of its task, and that the
    answer is affine, are lemmas of the weights as they were built."""
    if not model.as_built:
        raise checks.refuse(
            "model",
            "a model whose weights were changed",
            "must have the weights that were built: a memory rests on what those leave behind",
            "ask with model(prompt) or model.stream(blocks, query), which run what is there",
        )


def _first_input(
    spec: Spec, blocks: Iterator[Any]
) -> tuple[Iterable[Any], Float[np.ndarray, "slots d"] | None]:
    """The blocks, and the inputs of their first example (None: there is none)."""
    seen = []
    for index, block in enumerate(blocks):
        x, y = check_block(spec, block, index)
        if len(x):
            return chain(seen, [(x, y)], blocks), np.array(x[0])
        seen.append((x, y))
    return seen, None


def _check_many(spec: Spec, queries: Any) -> Float[np.ndarray, "queries slots d"]:
    """Queries as they are, in a format of floats. Raises ValueError for another shape or kind."""
    queries = checks.numbers("queries", queries)
    checks.shape(
        "queries", queries, (len(queries), spec.n - 1, spec.d), "(queries, n-1, d) of this model"
    )
    return queries


def _outputs_fit(ready: Prepared, phi: Float[np.ndarray, "b slots r"]) -> bool:
    """Whether the norms of the tasks' blocks alone show that no output on these features is too
    long."""
    longest = np.sqrt(np.einsum("bsr,bsr->bs", phi, phi).max())
    # What makes an output: features, and the flag of an input.
    bound = sum(
        norm * (longest if name in ready.content else 1) for name, norm in ready.norms.items()
    )
    return bool(np.max(bound) <= ready.limits.output)
