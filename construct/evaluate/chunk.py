"""A chunk of examples on the device: its share of the answer, and what its numbers say of the
theorem's hypotheses."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from construct.evaluate import program
from construct.evaluate.attention import Scores, Tokens, gap_at_slots
from construct.evaluate.blocks import Leaf, apply, dense
from construct.evaluate.plan import LayerPlan, Plan
from construct.evaluate.program import Classes
from construct.evaluate.screening import screened_score
from construct.floats import gamma
from construct.layers import Stack
from construct.readout import Readout
from construct.roles import INPUT, LABEL, QUERY
from construct.spec import Spec

# Examples are sent to the device by the chunk, and run there by the piece, whose Recognize
# residuals take at most so many bytes: measured on two cores with 1 MiB of cache each and two
# chunks at once, and matters of speed alone.
CHUNK = 1 << 15
PIECE_BYTES = 1 << 23
LONGEST_PIECE = 1 << 11
SHORTEST = 1 << 6  # a shorter chunk is padded, so that few lengths compile


def padded_length(count: int, longest: int) -> int:
    """The rows of a chunk of `count` examples, with padding: a power of two, so that few lengths
    compile."""
    return min(longest, max(SHORTEST, 1 << (count - 1).bit_length()))


class Limits(NamedTuple):
    """What a chunk is held against: bounds on norms, the least gap of a decided head, the coldness
    and a sketch's slack."""

    slots: Leaf  # (K,)
    input_radius: Leaf
    radius: Leaf
    output: Leaf
    decided: Leaf
    T: Leaf
    slack: Leaf


class Static(NamedTuple):
    """What a compiled chunk depends on besides shapes: what the theorem reads, the examples in a
    piece, whether to screen, whether to keep every gap and output norm, and whether to compute
    those norms where their bound is too long."""

    readout: Readout
    piece: int
    screened: bool
    full: bool
    exact: bool


class Found(NamedTuple):
    """What was read of a chunk: the survey by name, whether a vector is suspect (too long, not a
    number, or not blank), whether it is doubtful that all heads are decided and all outputs short
    enough."""

    survey: dict[str, Array]
    suspect: Array
    doubtful: Array


def limits(model: Stack) -> Limits:
    """The limits of a model's theorem and Spec."""
    spec, gains = model.spec, model.gains
    slack = model.readout.norm_slack(spec, gains)
    return Limits(
        slots=np.array(model.slots),
        input_radius=gains.input_radius,
        radius=spec.radius,
        output=spec.radius + slack,
        decided=gains.decided,
        T=gains.T,
        slack=slack,
    )


def static(model: Stack, sketch: int) -> Static:
    """The size of a piece, by what Recognize holds of an example: d numbers of each task and slot,
    or a sketch of them."""
    spec = model.spec
    example = (spec.n - 1) * spec.K * (sketch or spec.d) * np.dtype(spec.dtype).itemsize
    piece = min(LONGEST_PIECE, 1 << max(4, (PIECE_BYTES // example).bit_length() - 1))
    return Static(model.readout, piece, sketch > 0, model.readout.always, exact=True)


def bounded(
    spec: Spec, norms: dict[str, np.ndarray], limits: Limits, x: Float[np.ndarray, "c slots d"]
) -> bool:
    """Whether the bound on output norms is likely within the limit for examples like these, so that
    nothing need be computed."""
    longest = np.sqrt(np.einsum("csd,csd->cs", x, x).max())
    # What makes an output: an input, or its features, and the flag of an input.
    lengths = {"x": spec.feature_norm * longest + spec.feature_bias_norm}
    return bool(
        np.max(sum(norm * lengths.get(name, 1) for name, norm in norms.items())) <= limits.output
    )


def _observer(
    static: Static,
    plan: Plan,
    norms: dict[str, Array],
    limits: Limits,
    found: dict[str, Array],
    real: Array | None = None,
) -> program.Observe:
    def observe(
        layer: LayerPlan, name: str, before: Classes, after: Tokens, scores: list[list[Scores]]
    ) -> None:
        readout = static.readout
        if (layer.name, name) == (readout.layer, readout.asks):
            found["gap"] = gap_at_slots(scores, limits.slots)
        if readout.codes is not None and (layer.name, name) == (readout.codes[0], LABEL):
            code = readout.codes[1]
            found["code"] = after.read(code, plan.residual.size(code))[:, 0]
            found["ok"] = after.read("ok", 1)[0, 0]
        if layer.name == readout.layer and "output_norm" not in found:
            inputs = before[INPUT if INPUT in before else QUERY]
            bound = _longest_output(plan, norms, inputs)
            exact = static.exact or real is None
            found["output_norm"] = (
                _output_norms(plan, inputs, bound, limits.output, real) if exact else bound
            )

    return observe


def _longest_output(plan: Plan, norms: dict[str, Array], inputs: Tokens) -> Float[Array, ""]:
    """An upper bound of ||W_i f + b_i|| over all inputs."""
    there = [name for name in plan.outputs if name in inputs.stream]
    # As the prompt has them, tokens first: XLA then need not lay them out for this.
    return sum(
        norms[name] * jnp.sqrt((dense(inputs.stream[name]).T ** 2).sum(2).max()) for name in there
    ).max()


def _output_norms(
    plan: Plan, inputs: Tokens, bound: Array, limit: Array, real: Bool[Array, "g"] | None
) -> Float[Array, "K slots #g"] | Float[Array, ""]:
    """||W_i f + b_i|| at all inputs, or the longest of those of the `real` groups; their bound
    where that is within the limit."""

    def exact() -> Array:
        every = jnp.sqrt((apply(plan.outputs, inputs.stream) ** 2).sum(1))
        return every if real is None else jnp.where(real, every, 0).max()

    shape = jax.eval_shape(exact).shape
    return jax.lax.cond(bound <= limit, lambda: jnp.broadcast_to(bound, shape), exact)


def block_norms(plan: Plan) -> dict[str, np.ndarray]:
    """By subspace, an upper bound of each task's spectral norm, of the stored blocks that make its
    output."""
    found = {}
    for name, block in plan.outputs.items():
        rows = np.asarray(block.full(plan.residual.size(name)), np.float64)
        gram = (
            np.einsum("hru,hsu->hrs", rows, rows, optimize=True)
            if rows.shape[1] < rows.shape[2]
            else None
        )
        gram = np.einsum("hru,hrv->huv", rows, rows, optimize=True) if gram is None else gram
        # The eigenvalues of a Gram matrix, rounded outward, and up to the dtype of the forward
        # pass.
        largest = np.linalg.eigvalsh(gram)[:, -1].clip(0)
        slack = 1 + 4 * sum(rows.shape[1:]) * np.finfo(float).eps
        found[name] = np.nextafter(
            (np.sqrt(largest) * slack).astype(block.data.dtype), np.inf, dtype=block.data.dtype
        )
    return found


@partial(jax.jit, static_argnames="static")
def start_query(
    plan: Plan, norms: dict[str, Array], limits: Limits, query: Array, *, static: Static
) -> tuple[list[Classes], Array]:
    found: dict[str, Array] = {}
    before = program.prelude(plan, query, _observer(static, plan, norms, limits, found))
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
) -> tuple[program.Shares, Found]:
    """The shares of the answer of the rows of a chunk from `start` on, piece by piece, and what was
    found in them.

    The chunk begins with the prompt's example `first`; its rows from `count` on are padding.
    """
    piece, (slots, d) = min(static.piece, len(x)), x.shape[1:]
    screen = partial(screened_score, slack=limits.slack, T=limits.T) if static.screened else None
    pieces = len(x) // piece

    def run(part: tuple[Array, Array, Array]) -> tuple[program.Shares, Found]:
        x, y, start = part
        x = x.reshape(piece, slots, d)
        real = start + jnp.arange(piece) < count
        found: dict[str, Array] = {}
        observe = _observer(static, plan, norms, limits, found, None if static.full else real)
        parts = program.examples(plan, before, x, y, first + start, real, screen, observe)
        # Norms are rounded here too: what is within that rounding of its limit is looked at again
        # on the host, in float64.
        slack = 1 - gamma(x.shape[-1] + 4, x.dtype.name)
        blank = True
        if (
            "sum" in plan.residual.names
        ):  # the sum slot is blank, and holds the sum once Lift has filled it
            blank = ~(x[:, -1] != 0).any()
            x = x.at[:, -1].set(x.sum(1))
        short = ((x**2).sum(-1).max() <= slack * limits.input_radius**2) & (
            (y**2).sum(-1).max() <= slack * limits.radius**2
        )
        # Over the heads first: XLA does that as it makes them, and would store them all for a mask
        # of examples.
        decided = jnp.where(real, jnp.abs(found["gap"]).min(0), jnp.inf).min() >= limits.decided
        fits = jnp.where(real, found["output_norm"], 0).max() <= limits.output
        if not static.full:
            del found["gap"], found["output_norm"]
        # What all examples of a piece have in common was kept once.
        found = {
            name: jnp.broadcast_to(value, (*value.shape[:-1], piece))
            for name, value in found.items()
        }
        return parts, Found(found, ~(short & blank), ~(decided & fits))

    split = lambda a: a.reshape(pieces, piece, *a.shape[1:])  # noqa: E731
    # Without an axis of slots: where that has length 1, XLA takes its layout for another one and
    # copies the chunk.
    parts, found = jax.lax.map(
        run, (split(x.reshape(len(x), -1)), split(y), start + jnp.arange(pieces) * piece)
    )
    # Pieces stand first; examples are the last axis of everything that was surveyed.
    survey = {
        name: jnp.moveaxis(value, 0, -2).reshape(*value.shape[1:-1], -1)
        for name, value in found.survey.items()
    }
    return parts, Found(survey, found.suspect.any(), found.doubtful.any())


@partial(jax.jit, static_argnames="static")
def run_chunk(
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
) -> tuple[program.Shares, Found]:
    """A chunk's share of the answer, and what was found in its first `count` examples; the rest is
    padding."""
    parts, found = pieces(plan, norms, limits, before, x, y, first, 0, count, static=static)
    return program.combine_all(parts), found


@jax.jit
def finish(plan: Plan, before: list[Classes], parts: program.Shares) -> Float[Array, "d"]:
    """The answer's vector, from the chunks' shares of it, stacked on a first axis."""
    return _vector(plan, before, program.combine_all(parts))


def _vector(plan: Plan, before: list[Classes], parts: program.Shares) -> Float[Array, "d"]:
    return program.finish(plan, before, parts).stream["y"][:, 0, 0]


@partial(jax.jit, static_argnames="static")
def run_alone(
    plan: Plan,
    norms: dict[str, Array],
    limits: Limits,
    query: Float[Array, "slots d"],
    x: Float[Array, "c slots d"],
    y: Float[Array, "c d"],
    count: Array,
    *,
    static: Static,
) -> tuple[Float[Array, "d"], Array, Found]:
    """A prompt of one chunk from the query to the answer in one call, which a short prompt's time
    goes by: the answer's vector, and what `start_query` and `run_chunk` find."""
    before, query_norms = start_query(plan, norms, limits, query, static=static)
    parts, found = run_chunk(plan, norms, limits, before, x, y, 0, count, static=static)
    return _vector(plan, before, parts), query_norms, found
