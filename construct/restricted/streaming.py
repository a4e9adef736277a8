"""A prompt by the block: examples come from any iterable, run in chunks of one size, and leave a share of the answer each.

What a chunk's numbers say of the theorem's hypotheses is summed up on the device; only a chunk that raises a doubt is looked
at again on the host, by the same checks that the dense evaluator runs.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from construct import checks
from construct.answer import Answer, answer_of
from construct.floats import gamma
from construct.forward import precision
from construct.prompt import check_examples
from construct.restricted import program
from construct.restricted.attention import Scores, Screen, Tokens
from construct.restricted.blocks import Leaf, apply, dense
from construct.restricted.certificate import certificate
from construct.restricted.plan import LayerPlan, Plan, plan_of, remembered
from construct.restricted.program import Classes
from construct.restricted.screening import sketch_size
from construct.spec import Spec
from construct.transformer import Transformer

if TYPE_CHECKING:
    from jax.sharding import Mesh

    from construct.reading import Parts, Reading

# Examples are sent to the device by the chunk, and run there by the piece, whose Recognize residuals stay in a cache of this
# many bytes: matters of speed alone, chosen by benchmarks/scale.py.
CHUNK = 1 << 15
PIECE_BYTES = 1 << 23
LONGEST_PIECE = 1 << 11
SHORTEST = 1 << 6  # a shorter chunk is padded, so that few lengths compile

# Up to so many tokens the dense pass answers, and batches; from so many tasks on, screening pays. Results depend on neither.
DENSE_TOKENS = 512
SCREENED_TASKS = 48

Examples = tuple[np.ndarray, np.ndarray]  # inputs (b, n-1, d), labels (b, d)


class Limits(NamedTuple):
    """What a chunk is held against: bounds on norms, the least gap of a decided head, the coldness and a sketch's slack."""

    slots: Leaf  # (K,)
    input_radius: Leaf
    radius: Leaf
    output: Leaf
    decided: Leaf
    T: Leaf
    slack: Leaf


class Static(NamedTuple):
    """What a compiled chunk depends on besides shapes: what the theorem reads, the examples in a piece, whether to screen, and
    whether to keep every gap and output norm."""

    parts: "Parts"
    piece: int
    screened: bool
    full: bool


class Found(NamedTuple):
    """What was read of a chunk: the survey by name, whether a vector is too long or not blank, whether a head is undecided or a
    task's output too long."""

    survey: dict[str, Array]
    long: Array
    undecided: Array


def limits(reading: "Reading", spec: Spec) -> Limits:
    """The limits of a theorem's Spec."""
    gains, slack = reading.gains, reading.parts.slack(reading.gains, spec)
    return Limits(
        slots=np.array(reading.slots),
        input_radius=gains.input_radius,
        radius=spec.radius,
        output=spec.radius + slack,
        decided=gains.T - 2 * gains.error(reading.parts.outputs.layer),
        T=gains.T,
        slack=slack,
    )


def static(reading: "Reading", spec: Spec, sketch: int) -> Static:
    """The size of a piece, by what Recognize holds of an example: d numbers of each task and slot, or a sketch of them."""
    example = (spec.n - 1) * spec.K * (sketch or spec.d) * np.dtype(spec.dtype).itemsize
    return Static(
        reading.parts, min(LONGEST_PIECE, 1 << max(4, (PIECE_BYTES // example).bit_length() - 1)), sketch > 0, reading.parts.always
    )


def _observer(parts: "Parts", plan: Plan, norms: dict[str, Array], limits: Limits, found: dict[str, Array]) -> program.Observe:
    def observe(layer: LayerPlan, name: str, before: Classes, after: Tokens, scores: list[list[Scores]]) -> None:
        found.update(parts.survey(layer.name, name, after, scores, limits.slots))
        if layer.name == parts.outputs.layer and "output_norm" not in found:
            inputs = before[program.INPUTS if program.INPUTS in before else program.QUERY]
            found["output_norm"] = _output_norms(plan, norms, inputs, limits.output)

    return observe


def _output_norms(plan: Plan, norms: dict[str, Array], inputs: Tokens, limit: Array) -> Float[Array, "K slots #g"]:
    """||W_i f + b_i|| at all inputs, or a common upper bound of them where that is within the limit already."""
    there = [name for name in plan.outputs if name in inputs.stream]
    lengths = [norms[name].max() * jnp.sqrt((dense(inputs.stream[name]) ** 2).sum(0)).max() for name in there]
    shape = jax.eval_shape(lambda: apply(plan.outputs, inputs.stream)).shape
    shape = (shape[0], *shape[2:])

    def exact() -> Array:
        return jnp.sqrt((apply(plan.outputs, inputs.stream) ** 2).sum(1))

    bound = sum(lengths[1:], lengths[0])
    return jax.lax.cond(bound <= limit, lambda: jnp.broadcast_to(bound, shape), exact)


def block_norms(plan: Plan) -> dict[str, np.ndarray]:
    """By subspace, an upper bound of each task's spectral norm, of the stored blocks that make its output."""
    found = {}
    for name, block in plan.outputs.items():
        rows = np.asarray(block.full(plan.residual.size(name)), np.float64)
        gram = np.einsum("hru,hsu->hrs", rows, rows, optimize=True) if rows.shape[1] < rows.shape[2] else None
        gram = np.einsum("hru,hrv->huv", rows, rows, optimize=True) if gram is None else gram
        # The eigenvalues of a Gram matrix, rounded outward, and up to the dtype of the forward pass.
        largest = np.linalg.eigvalsh(gram)[:, -1].clip(0)
        slack = 1 + 4 * sum(rows.shape[1:]) * np.finfo(float).eps
        found[name] = np.nextafter((np.sqrt(largest) * slack).astype(block.data.dtype), np.inf, dtype=block.data.dtype)
    return found


@partial(jax.jit, static_argnames="static")
def _start(plan: Plan, norms: dict[str, Array], limits: Limits, query: Array, *, static: Static) -> tuple[list[Classes], Array]:
    found: dict[str, Array] = {}
    before = program.prelude(plan, query, _observer(static.parts, plan, norms, limits, found))
    return before, found["output_norm"]


def pieces(
    plan: Plan,
    norms: dict[str, Array],
    limits: Limits,
    before: list[Classes],
    x: Float[Array, "c slots d"],
    y: Float[Array, "c d"],
    first: Array,
    start: Array | int,
    count: Array,
    *,
    static: Static,
) -> tuple[program.Parts, Found]:
    """The shares of the answer of the rows of a chunk from `start` on, piece by piece, and what was found in them.

    The chunk begins with the prompt's example `first`; its rows from `count` on are padding.
    """
    piece = min(static.piece, len(x))
    screen = Screen(limits.slack, limits.T) if static.screened else None
    pieces = len(x) // piece

    def run(part: tuple[Array, Array, Array]) -> tuple[program.Parts, Found]:
        x, y, start = part
        real = start + jnp.arange(piece) < count
        found: dict[str, Array] = {}
        observe = _observer(static.parts, plan, norms, limits, found)
        parts = program.examples(plan, before, x, y, first + start, real, screen, observe)
        # Norms are rounded here too: what is within that rounding of its limit is looked at again on the host, in float64.
        slack = 1 - 4 * gamma(x.shape[-1] + 4, x.dtype.name)
        short = ((x**2).sum(-1).max() <= slack * limits.input_radius**2) & ((y**2).sum(-1).max() <= slack * limits.radius**2)
        if "sum" in plan.residual.names:
            short &= ~(x[:, -1] != 0).any()
        decided = jnp.where(real, jnp.abs(found["gap"]), jnp.inf).min() >= limits.decided
        fits = jnp.where(real, found["output_norm"], 0).max() <= limits.output
        if not static.full:
            del found["gap"], found["output_norm"]
        return parts, Found(found, ~short, ~(decided & fits))

    split = lambda a: a.reshape(pieces, piece, *a.shape[1:])  # noqa: E731
    parts, found = jax.lax.map(run, (split(x), split(y), start + jnp.arange(pieces) * piece))
    # Pieces stand first; examples are the last axis of everything that was surveyed.
    survey = {name: jnp.moveaxis(value, 0, -2).reshape(*value.shape[1:-1], -1) for name, value in found.survey.items()}
    return parts, Found(survey, found.long.any(), found.undecided.any())


@partial(jax.jit, static_argnames="static")
def _chunk(
    plan: Plan,
    norms: dict[str, Array],
    limits: Limits,
    before: list[Classes],
    x: Float[Array, "c slots d"],
    y: Float[Array, "c d"],
    first: Array,
    count: Array,
    *,
    static: Static,
) -> tuple[program.Parts, Found]:
    """A chunk's share of the answer, and what was found in its first `count` examples; the rest is padding."""
    parts, found = pieces(plan, norms, limits, before, x, y, first, 0, count, static=static)
    return program.combine_all(parts), found


_finish = jax.jit(lambda plan, before, parts: program.finish(plan, before, program.combine_all(parts)).stream["y"])


def padded_length(count: int, longest: int) -> int:
    """The rows of a chunk of `count` examples, with padding: a power of two, so that few lengths compile."""
    return min(longest, max(SHORTEST, 1 << (count - 1).bit_length()))


class Run:
    """One prompt under way: its plan, the query before each layer, and what has been read of its examples so far."""

    def __init__(
        self,
        reading: "Reading",
        model: Transformer,
        query: Float[np.ndarray, "slots d"],
        name: str,
        sketch: int,
        mesh: "Mesh | None" = None,
    ) -> None:
        self.reading, self.spec, self.name, self.query = reading, model.spec, name, query
        self.plan = plan_of(model, sketch)
        self.norms = remembered(model, ("norms",), lambda: block_norms(self.plan))
        self.limits = limits(reading, model.spec)
        self.static = static(reading, model.spec, sketch)
        self.before, norms = _start(self.plan, self.norms, self.limits, query.astype(self.spec.dtype), static=self.static)
        self.query_norms = np.asarray(norms)
        self.shards = None
        if mesh is not None:
            from construct.restricted.sharding import Shards  # it runs this module's pieces

            self.shards = Shards(model, mesh, sketch, self.plan, self.norms, self.limits, self.before, self.static)
        self.first = 0
        self.parts: list[program.Parts] = []
        self.recognized: list[np.ndarray] = []
        self._pending: deque = deque()

    def chunk(self, x: np.ndarray, y: np.ndarray, size: int) -> None:
        """Send a chunk off, and look at the one before it, which is done by now."""
        count = len(x)
        if self.first + count > self.spec.m:
            raise checks.refuse(
                f"{self.name}.inputs",
                f"more than {self.spec.m} examples",
                f"must be at most m = {self.spec.m}",
                "drop some or build with a larger m",
            )
        shards = self.shards
        run = self._one_device(x, y, padded_length(count, size)) if shards is None else shards.chunk(x, y, self.first)
        parts, found = run(static=self.static)
        self.parts += parts
        self._pending.append((self.first, x, y, found, run))
        self.first += count
        if len(self._pending) > 1:
            self._settle()

    def _one_device(self, x: np.ndarray, y: np.ndarray, size: int) -> Callable[..., tuple[list[program.Parts], Found]]:
        count = len(x)
        padded = (part.astype(self.spec.dtype, copy=False) for part in (x, y))
        if count < size:
            padded = (np.pad(part, [(0, size - count)] + [(0, 0)] * (part.ndim - 1)) for part in padded)
        arguments = (self.plan, self.norms, self.limits, self.before, *padded, self.first, count)

        def run(static: Static) -> tuple[list[program.Parts], Found]:
            parts, found = _chunk(*arguments, static=static)
            return [parts], found

        return run

    def _settle(self) -> None:
        first, x, y, found, run = self._pending.popleft()
        if self.shards is not None:
            found = self.shards.agreed(found)
        if bool(found.long):
            self._check_chunk(first, x, y)
        doubtful = bool(found.undecided) or not self.query_norms.max() <= self.limits.output
        if doubtful and not self.static.full:
            found = run(static=self.static._replace(full=True))[1]

        def recognize(survey: dict[str, Array | np.ndarray], start: int, stop: int) -> np.ndarray:
            survey = {name: np.asarray(value)[..., : stop - start] for name, value in survey.items()}
            if "output_norm" in survey:
                survey["output_norm"] = np.concatenate([survey["output_norm"], self.query_norms], axis=2).swapaxes(1, 2)
            return self.reading.settle(self.spec, self.name, y[start:stop], survey, first + start, doubtful)

        whole = recognize if self.shards is None else partial(self.shards.recognize, recognize)
        self.recognized.append(whole(found.survey, 0, len(y)))

    def _check_chunk(self, first: int, x: np.ndarray, y: np.ndarray) -> None:
        """The checks of a prompt's examples, in the caller's own format. Raises ValueError if they fail."""
        name = f"{self.name} (from example {first} on)"
        axes = {"inputs": (x, ("m", "n-1", "d")), "labels": (y, ("m", "d"))}
        for what, (array, shape) in axes.items():
            checks.floats(f"{name}.{what}", array, shape)
        check_examples(self.spec, x, y, name, self.reading.gains.input_radius)

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """The answer's vector, and the task that each example was committed to."""
        while self._pending:
            self._settle()
        stacked = jax.tree.map(lambda *parts: jnp.stack(parts), *self.parts)
        return np.asarray(_finish(self.plan, self.before, stacked))[:, 0, 0], np.concatenate(self.recognized)


def rechunk(blocks: Iterable[Any], spec: Spec, size: int) -> Iterator[Examples]:
    """The same examples in chunks of `size` (the last may be shorter); whole chunks of a block are views."""
    left: Examples | None = None
    for index, block in enumerate(blocks):
        x, y = check_block(spec, block, index)
        if left is not None:
            x, y = np.concatenate([left[0], x]), np.concatenate([left[1], y])
        whole = len(x) - len(x) % size
        for start in range(0, whole, size):
            yield x[start : start + size], y[start : start + size]
        left = (x[whole:], y[whole:]) if whole < len(x) else None
    if left is not None:
        yield left


def check_block(spec: Spec, block: Any, index: int) -> Examples:
    """A block's inputs (b, n-1, d) and labels (b, d). Raises ValueError for other shapes or kinds."""
    try:
        x, y = (np.asarray(part) for part in block)
    except (TypeError, ValueError):
        raise checks.refuse(
            f"blocks[{index}]", f"a {type(block).__name__}", "must be a pair (inputs, labels)", "yield pairs"
        ) from None
    for name, part, expected in (("inputs", x, (spec.n - 1, spec.d)), ("labels", y, (spec.d,))):
        if part.ndim != len(expected) + 1 or part.shape[1:] != expected or len(x) != len(y):
            raise checks.refuse(
                f"blocks[{index}] {name}",
                f"an array of shape {part.shape}",
                f"must have shape (b, {', '.join(map(str, expected))}), the same b in inputs and labels",
                "match the Spec",
            )
        if part.dtype.kind not in "fiu":
            raise checks.refuse(f"blocks[{index}] {name}", f"an array of {part.dtype}", "must hold real numbers", "convert it")
    # A count or a one-hot vector is exact as a float.
    return tuple(part if part.dtype.kind == "f" else part.astype(float) for part in (x, y))


def restricted_answers(model: Transformer, tokens: int, evaluator: str | None) -> bool:
    """Whether a prompt goes to the restricted evaluator. Raises ValueError for an unknown name, or weights without certificate."""
    if evaluator not in (None, "dense", "restricted"):
        raise checks.refuse("evaluator", repr(evaluator), "must be 'dense' or 'restricted'", "leave it out to pick by size")
    if evaluator is None:
        return tokens > DENSE_TOKENS and certificate(model).valid
    if evaluator == "restricted":
        certificate(model).require()
    return evaluator == "restricted"


def stream(
    reading: "Reading",
    model: Transformer,
    blocks: Iterable[Any],
    query: Float[np.ndarray, "slots d"],
    *,
    name: str,
    progress: Callable[[int], None] | None = None,
    screen: bool | None = None,
    mesh: "Mesh | None" = None,
) -> Answer:
    """The answer to a prompt that comes in blocks; `progress` is told of examples done, `screen` None screens where it pays.

    mesh: the devices that share the examples, and the heads; None is one device.
    """
    spec = model.spec
    wanted = screen if screen is not None else spec.K >= SCREENED_TASKS
    sketch = sketch_size(spec.K, spec.d, spec.margin, spec.radius) if wanted else 0
    with precision(spec.dtype):
        run = Run(reading, model, query, name, sketch, mesh)
        size = CHUNK if run.shards is None else CHUNK * run.shards.examples
        for x, y in rechunk(blocks, spec, size):
            run.chunk(x, y, size)
            if progress is not None:
                progress(run.first)
        if not run.first:
            raise checks.refuse("blocks", "no examples", "a prompt needs at least one example", "yield a block of b >= 1 examples")
        vector, recognized = run.finish()
    return answer_of(vector, recognized, spec.K, "restricted")
