"""A prompt by the block: examples come from any iterable, run in chunks of one size, and leave a
share of the answer each.

What a chunk's numbers say of the theorem's hypotheses is summed up on the device; only a chunk that
raises a doubt is looked at again on the host, by the same checks that the dense evaluator runs.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from construct import checks
from construct.answer import Answer
from construct.evaluate import chunk, program
from construct.evaluate.plan import Plan, plan_of
from construct.evaluate.screening import sketch_size
from construct.evaluate.sharding import Shards
from construct.layers import Stack, in_dtype, remembered
from construct.prompt import check_examples
from construct.readout import Readings
from construct.spec import Spec

# From so many tasks on, screening pays: measured on two cores (see benchmarks/scale.py for what is
# near them). Results do not depend on it.
SCREENED_TASKS = 48

# So many chunks run at once, each from a thread of its own: JAX runs what one thread sends one by
# one, and a chunk's short steps leave cores idle. Measured on two cores; a matter of speed alone.
UNDER_WAY = 2

# Bytes; XLA copies an array on the host that begins elsewhere.
ALIGNMENT = 64

T = TypeVar("T")

Examples = tuple[np.ndarray, np.ndarray]  # inputs (b, n-1, d), labels (b, d)


class Run:
    """One prompt under way: its plan, the query, and what has been read of its examples so far.

    threads: where chunks wait for the device; with a mesh they do not, so that all processes send
    theirs in the same order.
    """

    def __init__(
        self,
        model: Stack,
        query: Float[np.ndarray, "slots d"],
        name: str,
        sketch: int,
        threads: Executor,
        mesh: Mesh | None = None,
    ) -> None:
        self.model, self.spec, self.name, self.threads = model, model.spec, name, threads

        def prepare() -> tuple[Plan, dict[str, np.ndarray], chunk.Limits, chunk.Static]:
            plan = plan_of(model, sketch)
            return (
                plan,
                chunk.block_norms(plan),
                chunk.limits(model),
                chunk.static(model, sketch),
            )

        # Once for all prompts, as all of it follows from the model and the sketch.
        self.plan, self.norms, self.limits, self.static = remembered(
            model, ("run", sketch), prepare
        )
        self.query = query.astype(self.spec.dtype)
        self.query_norms: np.ndarray | None = None
        self.vector: np.ndarray | None = None
        self.shards = None
        if mesh is not None:
            self.shards = Shards(
                model, mesh, sketch, self.plan, self.norms, self.limits, self.before, self.static
            )
        self.first = 0
        self.parts: list[program.Shares] = []
        self.recognized: list[np.ndarray] = []
        self._pending: deque = deque()

    @cached_property
    def before(self) -> list[program.Classes]:
        """BOS and the query before each layer; makes them, and the norms of the query's outputs."""
        before, norms = chunk.start_query(
            self.plan, self.norms, self.limits, self.query, static=self.static
        )
        self.query_norms = np.asarray(norms)
        return before

    def take(self, x: np.ndarray, y: np.ndarray, size: int) -> None:
        """Send a chunk off, and look at an earlier one where enough are under way."""
        count = len(x)
        if self.first + count > self.spec.m:
            raise checks.refuse(
                f"{self.name}.inputs",
                f"more than {self.spec.m} examples",
                f"must be at most m = {self.spec.m}",
                "drop some or build with a larger m",
            )
        if self.shards is None:
            alone = (
                not self.first and count < size
            )  # a short one is the last, and most often the only one
            # A short one is `owned` already: nobody else writes to it.
            prepare = padded if count < size else padded_copy
            sent = [
                prepare(part, chunk.padded_length(count, size), self.spec.dtype) for part in (x, y)
            ]
            if not self.first:
                self.static = self.static._replace(
                    exact=not chunk.bounded(self.spec, self.norms, self.limits, sent[0])
                )
            run = self._alone(*sent, count) if alone else self._one_device(*sent, count)
            if count == size:
                x, y = (
                    copy if copy.dtype == part.dtype else owned(part)
                    for part, copy in zip((x, y), sent, strict=True)
                )
            # A short one runs here, without a thread's start.
            result = (
                self.threads.submit(run, static=self.static).result
                if count == size
                else _now(run, self.static)
            )
        else:
            x, y = owned(x), owned(y)
            run = self.shards.take(x, y, self.first)
            result = _now(run, self.static)
        self._pending.append((self.first, x, y, result, run))
        self.first += count
        if len(self._pending) > UNDER_WAY:
            self._settle()

    def _one_device(
        self, x: np.ndarray, y: np.ndarray, count: int
    ) -> Callable[..., tuple[list[program.Shares], chunk.Found]]:
        arguments = (self.plan, self.norms, self.limits, self.before, x, y, self.first, count)

        def run(static: chunk.Static) -> tuple[list[program.Shares], chunk.Found]:
            with in_dtype(self.spec.dtype):  # a thread has its own
                parts, found = jax.block_until_ready(chunk.run_chunk(*arguments, static=static))
            return [parts], found

        return run

    def _alone(
        self, x: np.ndarray, y: np.ndarray, count: int
    ) -> Callable[..., tuple[list[program.Shares], chunk.Found]]:
        """The only chunk: no shares are left to put together."""
        arguments = (self.plan, self.norms, self.limits, self.query, x, y, count)

        def run(static: chunk.Static) -> tuple[list[program.Shares], chunk.Found]:
            if len(x) == 2 * static.piece:  # a loop of two costs more than a larger piece does
                static = static._replace(piece=len(x))
            vector, norms, found = chunk.run_alone(*arguments, static=static)
            self.vector, self.query_norms = np.asarray(vector), np.asarray(norms)
            return [], found

        return run

    def _settle(self) -> None:
        first, x, y, result, run = self._pending.popleft()
        parts, found = result()
        self.parts += parts
        if self.shards is not None:
            found = self.shards.agreed(found)
        # As NumPy's, whose truth is found several times faster than that of an array on the device.
        if np.asarray(found.suspect):
            self._check_chunk(first, x, y)
        doubtful = (
            bool(np.asarray(found.doubtful)) or not self.query_norms.max() <= self.limits.output
        )
        if doubtful and not self.static.full:
            found = run(static=self.static._replace(full=True, exact=True))[1]

        def recognize(survey: dict[str, Array | np.ndarray], start: int, stop: int) -> np.ndarray:
            survey = {
                name: np.asarray(value)[..., : stop - start] for name, value in survey.items()
            }
            if "output_norm" in survey:
                survey["output_norm"] = np.concatenate(
                    [survey["output_norm"], self.query_norms], axis=2
                ).swapaxes(1, 2)
            return _recognize(self.model, self.name, y[start:stop], survey, first + start, doubtful)

        whole = recognize if self.shards is None else partial(self.shards.recognize, recognize)
        self.recognized.append(whole(found.survey, 0, len(y)))
        if doubtful:  # and yet all is well: its inputs are longer than those of the first chunk
            self.static = self.static._replace(exact=True)

    def _check_chunk(self, first: int, x: np.ndarray, y: np.ndarray) -> None:
        """The checks of a prompt's examples, in the caller's own format. Raises ValueError if they
        fail."""
        for what, part in (("inputs", x), ("labels", y)):
            if not np.isfinite(part).all():
                where = tuple(int(i) for i in np.argwhere(~np.isfinite(part))[0])
                name = f"{self.name}.{what}{[first + where[0], *where[1:]]}"
                raise checks.refuse(
                    name, part[where], "must be finite", "remove NaN and infinity first"
                )
        check_examples(self.spec, x, y, self.name, self.model.gains.input_radius, first)

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """The answer's vector, and the task that each example was committed to."""
        while self._pending:
            self._settle()
        if self.vector is None:
            # On the host, where stacking a few small arrays takes no call of the device.
            stacked = jax.tree.map(lambda *parts: np.stack(parts), *self.parts)
            self.vector = np.asarray(chunk.finish(self.plan, self.before, stacked))
        return self.vector, np.concatenate(self.recognized)


def _recognize(
    model: Stack,
    name: str,
    labels: np.ndarray,
    survey: dict[str, np.ndarray],
    first: int,
    doubtful: bool,
) -> Int[np.ndarray, "m"]:
    """The tasks of a chunk of examples, whose output norms are (K, m' + 1, n - 1).

    Raises ValueError where a hypothesis fails; `doubtful`: the device could not rule that out, and
    kept gaps and norms.
    """
    code = survey["code"].T if "code" in survey else None
    readings = Readings(None, survey.get("gap"), survey.get("output_norm"), code, survey.get("ok"))
    enforce = doubtful or model.readout.always
    return model.readout.decode(model, labels, name, readings, enforce=enforce, first=first)


def _now(run: Callable[..., T], static: chunk.Static) -> Callable[[], T]:
    done = run(static=static)
    return lambda: done


def owned(part: np.ndarray) -> np.ndarray:
    """A copy, unless it is mapped to a file for reading: an iterator may fill the same memory with
    every block that it yields."""
    base = part
    while base is not None:
        if isinstance(base, np.memmap) and base.mode == "r":
            return part
        base = getattr(base, "base", None)
    return padded_copy(part, len(part), part.dtype)


def padded(part: np.ndarray, size: int, dtype: str) -> np.ndarray:
    """The same with zeros for padding, copied only where a CPU device could not use it
    where it is."""
    usable = (
        len(part) == size
        and part.dtype == dtype
        and part.flags.c_contiguous
        and part.ctypes.data % ALIGNMENT == 0
    )
    return part if usable else padded_copy(part, size, dtype)


def padded_copy(part: np.ndarray, size: int, dtype: str | np.dtype) -> np.ndarray:
    """A copy with zeros for padding, at an address that lets a CPU device use it where it is."""
    shape = (size, *part.shape[1:])
    space = np.empty(int(np.prod(shape)) * np.dtype(dtype).itemsize + ALIGNMENT, np.uint8)
    start = -space.ctypes.data % ALIGNMENT
    copy = space[start : len(space) - ALIGNMENT + start].view(dtype).reshape(shape)
    copy[: len(part)], copy[len(part) :] = part, 0
    return copy


def rechunk(blocks: Iterable[Any], spec: Spec, size: int) -> Iterator[Examples]:
    """The same examples in chunks of `size`; whole chunks of a block are views, to be used before
    the next one is asked for, a last shorter one is its own."""
    held: list[Examples] = []
    count = 0  # of examples held: less than a chunk
    for index, block in enumerate(blocks):
        held.append(check_block(spec, block, index))
        count += len(held[-1][1])
        if count < size:
            held[-1] = tuple(owned(part) for part in held[-1])
            continue
        x, y = (
            np.concatenate(parts) if len(held) > 1 else parts[0]
            for parts in zip(*held, strict=True)
        )
        whole = count - count % size
        for start in range(0, whole, size):
            yield x[start : start + size], y[start : start + size]
        held, count = [(owned(x[whole:]), owned(y[whole:]))], count - whole
    if count:
        yield tuple(
            np.concatenate(parts) if len(parts) > 1 else parts[0]
            for parts in zip(*held, strict=True)
        )


def check_block(spec: Spec, block: Any, index: int) -> Examples:
    """A block's inputs (b, n-1, d) and labels (b, d). Raises ValueError for other shapes or
    kinds."""
    try:
        x, y = (np.asarray(part) for part in block)
    except (TypeError, ValueError):
        raise checks.refuse(
            f"blocks[{index}]",
            f"a {type(block).__name__}",
            "must be a pair (inputs, labels)",
            "yield pairs",
        ) from None
    for name, part, expected in (("inputs", x, (spec.n - 1, spec.d)), ("labels", y, (spec.d,))):
        if part.ndim != len(expected) + 1 or part.shape[1:] != expected or len(x) != len(y):
            raise checks.refuse(
                f"blocks[{index}] {name}",
                f"an array of shape {part.shape}",
                f"must have shape (b, {', '.join(map(str, expected))}), the same b in inputs and "
                "labels",
                "match the Spec",
            )
        if part.dtype.kind not in "fiu":
            raise checks.refuse(
                f"blocks[{index}] {name}",
                f"an array of {part.dtype}",
                "must hold real numbers",
                "convert it",
            )
    # A count or a one-hot vector is exact as a float.
    return tuple(part if part.dtype.kind == "f" else part.astype(float) for part in (x, y))


def answer_blocks(
    model: Stack,
    blocks: Iterable[Any],
    query: Float[np.ndarray, "slots d"],
    *,
    name: str,
    progress: Callable[[int], None] | None = None,
    screen: bool | None = None,
    mesh: Mesh | None = None,
) -> Answer:
    """The answer to a prompt that comes in blocks; `progress` is told of examples done, `screen`
    None screens where it pays.

    mesh: the devices that share the examples, and the heads; None is one device.
    """
    spec = model.spec
    wanted = screen if screen is not None else spec.K >= SCREENED_TASKS
    sketch = sketch_size(spec.K, spec.d, spec.margin, spec.radius) if wanted else 0
    with in_dtype(spec.dtype), ThreadPoolExecutor(UNDER_WAY) as threads:
        run = Run(model, query, name, sketch, threads, mesh)
        size = chunk.CHUNK if run.shards is None else chunk.CHUNK * run.shards.examples
        for x, y in rechunk(blocks, spec, size):
            run.take(x, y, size)
            if progress is not None:
                progress(run.first)
        if not run.first:
            raise checks.refuse(
                "blocks",
                "no examples",
                "a prompt needs at least one example",
                "yield a block of b >= 1 examples",
            )
        vector, recognized = run.finish()
    return Answer(vector, recognized, spec.K, "restricted")
