"""A prompt by the block: examples come from any iterable, run in chunks of one size, and leave a
share of the answer each.

What a chunk's numbers say of the theorem's hypotheses is summed up on the device; only a chunk that
raises a doubt is looked at again on the host, by the same checks that the dense evaluator runs.

One `Run` serves a prompt whatever it runs on. What it runs on is told by one object: `OneDevice`
here, or the `Shards` of a mesh in `construct.evaluate.sharding`. A mesh of one device would do for
the first too, and does for a long prompt at a few percent more time; a short prompt it takes ten
times as long, as JAX places each array and each result by itself.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from construct import checks
from construct.answer import Answer
from construct.evaluate import alone, chunk, program
from construct.evaluate.chunk import Norms, Survey, Variant
from construct.evaluate.plan import Fixed, Plan
from construct.evaluate.prepared import Prepared, prepare
from construct.evaluate.sharding import Shards
from construct.layers import Stack, in_dtype, remembered
from construct.prompt import Prompt, check_examples
from construct.spec import Spec

# So many chunks run at once, each from a thread of its own: JAX runs what one thread sends one by
# one, and a chunk's short steps leave cores idle. Measured on two cores; a matter of speed alone.
UNDER_WAY = 2

# What heads make of vectors that all chunks share is made once if their matrices hold so many
# numbers: with as many it takes two in a hundred of a chunk's time on two cores, with 2^26 a third,
# and a program for it takes a few chunks' time to compile. A matter of speed alone.
WORTH_A_PROGRAM = 1 << 22

# Bytes; XLA copies an array on the host that begins elsewhere.
ALIGNMENT = 64

Examples = tuple[np.ndarray, np.ndarray]  # inputs (b, n-1, d), labels (b, d)

# keep(tasks, inputs, labels) is told what a chunk's examples were recognized as.
Keep = Callable[[Int[np.ndarray, "c"], np.ndarray, np.ndarray], None]

# Run a chunk that was sent: its shares of the answer, and what was found in it.
Call = Callable[[Variant], tuple[list[program.Shares], Survey]]


class Query:
    """The query, and BOS, before each layer up to the one where all examples meet: the same beside
    every example, and run once."""

    def __init__(self, ready: Prepared, query: Float[np.ndarray, "slots d"]) -> None:
        self.ready, self.query = ready, query

    @cached_property
    def _prelude(self) -> tuple[list[program.Classes], Array]:
        ready = self.ready
        return chunk.start_query(
            ready.plan, ready.norms, ready.limits, self.query, variant=ready.variant
        )

    @property
    def before(self) -> list[program.Classes]:
        """These tokens before each layer."""
        return self._prelude[0]

    @cached_property
    def fixed(self) -> list[list[Fixed]]:
        """What is made once for all chunks beside this query, where each would take long over it.
        A mesh, and a prompt of less than a chunk, make it again."""
        plan = self.ready.plan
        worth_it = program.repeated(plan) >= WORTH_A_PROGRAM
        return chunk.fixed(plan, self.before) if worth_it else []

    @cached_property
    def norms(self) -> Float[np.ndarray, "K slots 1"]:
        """The norms of all tasks' outputs on the query, or a bound of them within the limit."""
        return np.asarray(self._prelude[1])


class OneDevice:
    """The device that JAX runs on: it reads a chunk where it lies in the host's memory, if it can,
    and answers a prompt of less than a chunk in one call.

    threads: how many chunks run at once. copies: it keeps copies of what it is sent. alone: the
    answer's vector, where the prompt was so short.
    """

    threads = UNDER_WAY
    copies = True

    def __init__(self, ready: Prepared, query: Query, dtype: str) -> None:
        self.ready, self.query, self.dtype = ready, query, dtype
        self.chunk = min(chunk.CHUNK, ready.longest)
        self.alone: np.ndarray | None = None

    @cached_property
    def plan(self) -> Plan:
        """The plan, and in it what all chunks share."""
        return self.ready.plan.holding(self.query.fixed)

    def send(self, x: np.ndarray, y: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray, Call]:
        """The chunk as the host is to keep it, and how to run it. A chunk of full size is copied,
        as the iterator may fill its memory again; a shorter one is `owned` already."""
        count, whole = len(x), len(x) == self.chunk
        copy = padded_copy if whole else padded
        size = self.chunk if whole else chunk.padded_length(count, self.chunk, chunk.SHORTEST)
        if not first and not whole:
            return x, y, partial(self._run_alone, x, y, size)
        sent = [copy(part, size, self.dtype) for part in (x, y)]
        if whole:
            x, y = (
                copied if copied.dtype == part.dtype else owned(part)
                for part, copied in zip((x, y), sent, strict=True)
            )
        # Made here, and not by whichever thread is first.
        before, plan = self.query.before, self.plan
        return x, y, partial(self._run, plan, before, *sent, first, count)

    def _run(
        self,
        plan: Plan,
        before: list[program.Classes],
        x: np.ndarray,
        y: np.ndarray,
        first: int,
        count: int,
        variant: Variant,
    ) -> tuple[list[program.Shares], Survey]:
        ready = self.ready
        with in_dtype(self.dtype):  # a thread has its own
            shares, survey = chunk.run_chunk(
                plan, ready.norms, ready.limits, before, x, y, first, count, variant=variant
            )
            jax.block_until_ready((shares, survey))
        return [shares], survey

    def _run_alone(
        self, x: np.ndarray, y: np.ndarray, size: int, variant: Variant
    ) -> tuple[list[program.Shares], Survey]:
        """The only chunk: no shares are left to put together."""
        (found,) = alone.ask(self.ready, [(self.query.query, x, y)], size, variant)
        self.alone, self.query.norms = found.vector, found.norms
        return [], found.survey

    def agreed(self, survey: Survey) -> Survey:
        """The same with its two flags on the host."""
        # By NumPy, which is several times faster at it than an array on the device.
        suspect, doubtful = (bool(np.asarray(flag)) for flag in survey[1:])
        return survey._replace(suspect=suspect, doubtful=doubtful)

    def recognize(
        self, decode: Callable[..., np.ndarray], found: dict[str, Any], count: int
    ) -> Int[np.ndarray, "c"]:
        """The tasks of a chunk's `count` examples, by decode(found, first row, last row)."""
        return decode(found, 0, count)


class Sent(NamedTuple):
    """A chunk under way: its first example's place in the prompt, its examples as the host keeps
    them, how to run it again, and how to wait for it."""

    first: int
    x: np.ndarray
    y: np.ndarray
    call: Call
    wait: Callable[[], tuple[list[program.Shares], Survey]]


class Run:
    """One prompt under way: the query, the chunks sent off, and what has been read so far.

    query: its inputs, or what an earlier run made of them, which no sketch and no mesh changes.
    threads: where chunks of full size wait for the device, if it runs several at once. first: how
    many examples went before these. keep: told of each chunk's tasks and examples, in order.
    """

    def __init__(
        self,
        model: Stack,
        query: Float[np.ndarray, "slots d"] | Query,
        name: str,
        screen: bool | None,
        threads: Executor | None = None,
        mesh: Mesh | None = None,
        first: int = 0,
        keep: Keep | None = None,
    ) -> None:
        self.model, self.spec, self.name, self.threads = model, model.spec, name, threads
        # Once for all prompts, as all of it follows from the weights.
        self.ready: Prepared = remembered(
            model, ("restricted", screen), partial(prepare, model, screen)
        )
        self.variant = self.ready.variant
        if not isinstance(query, Query):
            query = Query(self.ready, query.astype(self.spec.dtype))
        self.query = query
        self.devices: OneDevice | Shards = (
            OneDevice(self.ready, self.query, self.spec.dtype)
            if mesh is None
            else Shards(model, mesh, self.ready, self.query.before)
        )
        self.first, self.keep = first, keep
        self.shares: list[program.Shares] = []
        self.recognized: list[np.ndarray] = []
        self._under_way: deque[Sent] = deque()

    def take(self, x: np.ndarray, y: np.ndarray) -> None:
        """Send a chunk off, and read an earlier one where enough are under way."""
        count, whole = len(x), len(x) == self.devices.chunk
        if self.first + count > self.spec.m:
            raise checks.refuse(
                f"{self.name}.inputs",
                f"more than {self.spec.m} examples",
                f"must be at most m = {self.spec.m}",
                "drop some or build with a larger m",
            )
        if not self.devices.copies:
            x, y = owned(x), owned(y)
        x, y, call = self.devices.send(x, y, self.first)
        threads = self.threads if whole and self.devices.threads > 1 else None
        if not self.first and threads and self.variant.norms is Norms.LONGEST:
            # Likely the later chunks are like the first; one that is not is run again.
            norms = Norms.BOUND if self.ready.bounded(x) else Norms.LONGEST
            self.variant = self.variant._replace(norms=norms)
        if threads is None:
            done = call(self.variant)
            wait = lambda: done  # noqa: E731
        else:
            wait = threads.submit(call, self.variant).result
        self._under_way.append(Sent(self.first, x, y, call, wait))
        self.first += count
        if len(self._under_way) > UNDER_WAY:
            self._read()

    def _read(self) -> None:
        """Wait for the oldest chunk under way, check the hypotheses on it, and keep its tasks.

        Raises ValueError where a hypothesis fails.
        """
        first, x, y, call, wait = self._under_way.popleft()
        shares, survey = wait()
        self.shares += shares
        survey = self.devices.agreed(survey)
        if survey.suspect:
            self._check_examples(first, x, y)
        doubtful = survey.doubtful or not self.query.norms.max() <= self.ready.limits.output
        if doubtful and self.variant.norms is not Norms.EVERY:
            survey = call(self.variant._replace(norms=Norms.EVERY))[1]

        def decode(found: dict[str, Any], start: int, stop: int) -> Int[np.ndarray, "c"]:
            return alone.recognized(
                self.model,
                y[start:stop],
                self.name,
                found,
                self.query.norms,
                first=first + start,
                enforce=bool(doubtful),
            )

        tasks = self.devices.recognize(decode, survey.found, len(y))
        self.recognized.append(tasks)
        if self.keep is not None:
            self.keep(tasks, x, y)
        if doubtful and self.variant.norms is Norms.BOUND:
            # The checks passed, so only the bound was too long: these inputs are longer than those
            # of the first chunk, and those of later ones may be.
            self.variant = self.variant._replace(norms=Norms.LONGEST)

    def _check_examples(self, first: int, x: np.ndarray, y: np.ndarray) -> None:
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

    def tasks(self) -> Int[np.ndarray, "m"]:
        """What was recognized, once all chunks are taken. Raises ValueError where a hypothesis
        fails."""
        while self._under_way:
            self._read()
        return np.concatenate(self.recognized)

    def answer(self) -> Answer:
        """The answer, once all chunks are taken. Raises ValueError where a hypothesis fails."""
        recognized = self.tasks()
        vector = self.devices.alone
        if vector is None:
            stacked = jax.tree.map(
                program.stacked, *self.shares, is_leaf=lambda one: isinstance(one, program.Share)
            )
            vector = np.asarray(chunk.finish(self.ready.plan, self.query.before, stacked))
        return Answer(vector, recognized, self.spec.K, "restricted")


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


def blocks_of(argument: str, examples: Any) -> Iterator[Any]:
    """A Prompt's examples as one block, or what iterates over blocks. Raises ValueError for what
    does not."""
    if isinstance(examples, Prompt):
        return iter([(examples.inputs, examples.labels)])
    try:
        return iter(examples)
    except TypeError:
        raise checks.refuse(
            argument,
            f"a {type(examples).__name__}",
            "must be a Prompt or blocks of examples",
            "yield pairs (inputs, labels)",
        ) from None


def rechunk(blocks: Iterable[Any], spec: Spec, size: int) -> Iterator[Examples]:
    """The same examples in chunks of `size`; whole chunks of a block are views, to be used before
    the next one is asked for, a last shorter one is its own."""
    held: list[Examples] = []
    count = 0  # of examples held: less than a chunk
    for index, block in enumerate(blocks):
        held.append(check_block(spec, block, index))
        count += len(held[-1][1])
        if count < size:
            x, y = held[-1]
            held[-1] = (owned(x), owned(y))
            continue
        x, y = _joined(held)
        whole = count - count % size
        for start in range(0, whole, size):
            yield x[start : start + size], y[start : start + size]
        held, count = [(owned(x[whole:]), owned(y[whole:]))], count - whole
    if count:
        yield _joined(held)


def _joined(held: list[Examples]) -> Examples:
    if len(held) == 1:
        return held[0]
    return np.concatenate([x for x, _ in held]), np.concatenate([y for _, y in held])


def check_block(spec: Spec, block: Any, index: int) -> Examples:
    """A block's inputs (b, n-1, d) and labels (b, d). Raises ValueError for other shapes or
    kinds."""
    try:
        x, y = block
    except (TypeError, ValueError):
        raise checks.refuse(
            f"blocks[{index}]",
            f"a {type(block).__name__}",
            "must be a pair (inputs, labels)",
            "yield pairs",
        ) from None
    x = checks.numbers(f"blocks[{index}] inputs", x)
    y = checks.numbers(f"blocks[{index}] labels", y)
    for name, part, expected in (("inputs", x, (spec.n - 1, spec.d)), ("labels", y, (spec.d,))):
        if part.ndim != len(expected) + 1 or part.shape[1:] != expected or len(x) != len(y):
            raise checks.refuse(
                f"blocks[{index}] {name}",
                f"an array of shape {part.shape}",
                f"must have shape (b, {', '.join(map(str, expected))}), the same b in inputs and "
                "labels",
                "match the Spec",
            )
    return x, y


def answer_prompts(model: Stack, prompts: Sequence[Prompt], names: Sequence[str]) -> list[Answer]:
    """The answers to checked prompts: those of less than a chunk together, longer ones one by one.
    Raises ValueError where a hypothesis fails on one."""
    with in_dtype(model.spec.dtype):
        ready: Prepared = remembered(model, ("restricted", None), partial(prepare, model, None))
        longest = min(chunk.CHUNK, ready.longest)
        short = [i for i, prompt in enumerate(prompts) if len(prompt.labels) < longest]
        together = alone.answer(
            model, ready, [prompts[i] for i in short], [names[i] for i in short], longest
        )
    answers = dict(zip(short, together, strict=True))
    for i in sorted(set(range(len(prompts))) - set(short)):
        prompt = prompts[i]
        answers[i] = answer_blocks(
            model, [(prompt.inputs, prompt.labels)], prompt.query, name=names[i]
        )
    return [answers[i] for i in range(len(prompts))]


def answer_blocks(
    model: Stack,
    blocks: Prompt | Iterable[Any],
    query: Float[np.ndarray, "slots d"],
    *,
    name: str,
    progress: Callable[[int], None] | None = None,
    screen: bool | None = None,
    mesh: Mesh | None = None,
) -> Answer:
    """The answer to a prompt that comes in blocks; `progress` is told of examples done, `screen`
    None screens where it pays.

    mesh: the devices that share the examples, and the heads; None is one device. Raises ValueError
    for weights without a certificate, bad blocks, and hypotheses that fail.
    """
    spec = model.spec
    checks.function("progress", progress)
    with in_dtype(spec.dtype), ThreadPoolExecutor(UNDER_WAY) as threads:
        run = Run(model, query, name, screen, threads, mesh)
        for x, y in rechunk(blocks_of("blocks", blocks), spec, run.devices.chunk):
            run.take(x, y)
            if progress is not None:
                progress(run.first)
        if not run.first:
            raise checks.refuse(
                "blocks",
                "no examples",
                "a prompt needs at least one example",
                "yield a block of b >= 1 examples",
            )
        return run.answer()
