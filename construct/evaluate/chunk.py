"""A chunk of examples on the device: its share of the answer, and what its numbers say of the
theorem's hypotheses.

A chunk runs piece by piece, so that what Recognize computes of a piece stays in the cache.
"""

from enum import Enum
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from construct.evaluate import program
from construct.evaluate.attention import Scores, Tokens, gap_at_slots
from construct.evaluate.blocks import Leaf, applied, dense
from construct.evaluate.plan import Fixed, LayerPlan, Plan
from construct.evaluate.program import Classes
from construct.evaluate.screening import screened_score
from construct.floats import gamma
from construct.readout import Readout
from construct.roles import INPUT, LABEL, QUERY

# The most examples that are sent to a device at once, and the fewest that a shorter chunk is padded
# to. Matters of speed alone.
CHUNK = 1 << 15
SHORTEST = 1 << 6


class Norms(Enum):
    """What is found out of the outputs' norms. A theorem bounds them all from above, which the
    norms of the blocks often show; where it asks for more than that, every one is needed."""

    BOUND = "an upper bound of all of them"
    LONGEST = "the same, or the longest one where that bound is beyond the limit"
    EVERY = "every one, and every gap of a head's scores beside them"


class Variant(NamedTuple):
    """What a compiled chunk depends on besides shapes: what the theorem reads, the examples in a
    piece, whether Recognize is screened, and what is found out of the outputs' norms."""

    readout: Readout
    piece: int
    screened: bool
    norms: Norms


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


class Survey(NamedTuple):
    """What was read of a chunk: arrays by name, examples last; whether a vector is suspect (too
    long, not a number, or not blank); whether it is doubtful that every head is decided and every
    output short enough. The host looks again at what is suspect or doubtful."""

    found: dict[str, Leaf]
    suspect: Leaf
    doubtful: Leaf


@lru_cache(maxsize=1024)
def padded_length(count: int, longest: int, shortest: int) -> int:
    """The rows of a chunk of `count` examples, with padding: a power of two, so that few lengths
    compile. Powers of four would be fewer, and cost up to 1.4 times as much in between."""
    return min(longest, max(shortest, 1 << (count - 1).bit_length()))


def _observer(
    variant: Variant,
    plan: Plan,
    norms: dict[str, Array],
    limits: Limits,
    found: dict[str, Array],
    real: Bool[Array, "g"] | None = None,
) -> program.Observe:
    """Keeps in `found` what the theorem reads, as the layers pass; real: which groups are no
    padding, None for the query."""

    def observe(
        layer: LayerPlan, name: str, before: Classes, after: Tokens, scores: list[list[Scores]]
    ) -> None:
        readout = variant.readout
        if (layer.name, name) == (readout.layer, readout.asks):
            found["gap"] = gap_at_slots(scores, limits.slots)
        if readout.codes is not None and (layer.name, name) == (readout.codes[0], LABEL):
            code = readout.codes[1]
            found["code"] = after.read(code, plan.residual.size(code))[:, 0]
            found["ok"] = after.read("ok", 1)[0, 0]
        if layer.name == readout.layer and "output_norm" not in found:
            inputs = before[INPUT if INPUT in before else QUERY]
            found["output_norm"] = _output_norms(
                plan, norms, inputs, limits.output, variant.norms, real
            )

    return observe


def _output_norms(
    plan: Plan,
    norms: dict[str, Array],
    inputs: Tokens,
    limit: Array,
    wanted: Norms,
    real: Bool[Array, "g"] | None,
) -> Float[Array, "K slots #g"] | Float[Array, ""]:
    """||W_i f + b_i|| at all inputs (EVERY, and the query's), or one number that none of the real
    groups exceeds."""

    def every() -> Array:
        return jnp.sqrt((applied(plan.outputs, inputs.stream) ** 2).sum(1))

    def longest() -> Array:
        return jnp.where(jnp.asarray(real), every(), 0).max()

    if wanted is Norms.EVERY:
        return every()
    exact, bound = every if real is None else longest, _longest_output(plan, norms, inputs)
    if wanted is Norms.BOUND and real is not None:
        return bound
    shape = jax.eval_shape(exact).shape
    return jax.lax.cond(bound <= limit, lambda: jnp.broadcast_to(bound, shape), exact)


def _longest_output(plan: Plan, norms: dict[str, Array], inputs: Tokens) -> Float[Array, ""]:
    """An upper bound of ||W_i f + b_i|| over all inputs."""
    there = [name for name in plan.outputs if name in inputs.stream]
    # As the prompt has them, tokens first: XLA then need not lay them out for this.
    longest = (jnp.sqrt((dense(inputs.stream[name]).T ** 2).sum(2).max()) for name in there)
    parts = [norms[name] * one for name, one in zip(there, longest, strict=True)]
    return sum(parts[1:], parts[0]).max()  # norms of one task, or of all where they are alike


@partial(jax.jit, static_argnames="variant")
def start_query(
    plan: Plan, norms: dict[str, Array], limits: Limits, query: Array, *, variant: Variant
) -> tuple[list[Classes], Array]:
    found: dict[str, Array] = {}
    observe = _observer(variant, plan, norms, limits, found)
    before = program.prelude(plan, query, observe, watched=variant.readout.layer)
    return before, found["output_norm"]


@jax.jit
def fixed(plan: Plan, before: list[Classes]) -> list[list[Fixed]]:
    """What need be made once for all examples beside a query; see `construct.evaluate.program`."""
    return program.fixed(plan, before)


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
    variant: Variant,
) -> tuple[program.Shares, Survey]:
    """The shares of the answer of the rows of a chunk from `start` on, piece by piece, and what was
    found in them.

    The chunk begins with the prompt's example `first`; its rows from `count` on are padding.
    """
    piece, (slots, d) = min(variant.piece, len(x)), x.shape[1:]
    screen = partial(screened_score, slack=limits.slack, T=limits.T) if variant.screened else None
    pieces = len(x) // piece

    def run(part: tuple[Array, Array, Array]) -> tuple[program.Shares, Survey]:
        x, y, start = part
        x = x.reshape(piece, slots, d)
        real = start + jnp.arange(piece) < count
        found: dict[str, Array] = {}
        observe = _observer(variant, plan, norms, limits, found, real)
        parts = program.examples(plan, before, x, y, first + start, real, screen, observe)
        # Norms are rounded here too: what is within that rounding of its limit is looked at again
        # on the host, in float64.
        slack = 1 - gamma(x.shape[-1] + 4, x.dtype.name)
        blank = True
        if "sum" in plan.residual.names:  # its slot is blank until Lift writes the sum there
            blank = ~(x[:, -1] != 0).any()
            x = x.at[:, -1].set(x.sum(1))
        short = ((x**2).sum(-1).max() <= slack * limits.input_radius**2) & (
            (y**2).sum(-1).max() <= slack * limits.radius**2
        )
        # The least over the heads first: XLA takes it while it makes the gaps. Masked first, the
        # gaps of all heads would be stored.
        decided = jnp.where(real, jnp.abs(found["gap"]).min(0), jnp.inf).min() >= limits.decided
        fits = jnp.where(real, found["output_norm"], 0).max() <= limits.output
        if variant.norms is not Norms.EVERY:
            del found["gap"], found["output_norm"]
        # What all examples of a piece have in common was kept once.
        found = {
            name: jnp.broadcast_to(value, (*value.shape[:-1], piece))
            for name, value in found.items()
        }
        return parts, Survey(found, ~(short & blank), ~(decided & fits))

    split = lambda a: a.reshape(pieces, piece, *a.shape[1:])  # noqa: E731
    # Slots and coordinates as one axis: an axis of one slot has no definite layout, and XLA would
    # copy the whole chunk into the one that it picks.
    parts, survey = jax.lax.map(
        run, (split(x.reshape(len(x), -1)), split(y), start + jnp.arange(pieces) * piece)
    )
    # Pieces stand first; examples are the last axis of all that was found.
    found = {
        name: jnp.moveaxis(value, 0, -2).reshape(*value.shape[1:-1], -1)
        for name, value in survey.found.items()
    }
    return parts, Survey(found, survey.suspect.any(), survey.doubtful.any())


@partial(jax.jit, static_argnames="variant")
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
    variant: Variant,
) -> tuple[program.Shares, Survey]:
    """A chunk's share of the answer, and what was found in its first `count` examples; the rest is
    padding."""
    parts, found = pieces(plan, norms, limits, before, x, y, first, 0, count, variant=variant)
    return program.combine_all(parts), found


@jax.jit
def finish(plan: Plan, before: list[Classes], parts: program.Shares) -> Float[Array, "d"]:
    """The answer's vector, from the chunks' shares of it, stacked on a first axis."""
    return vector(plan, before, program.combine_all(parts))


def vector(plan: Plan, before: list[Classes], parts: program.Shares) -> Float[Array, "d"]:
    """The same, from one share."""
    return dense(program.finish(plan, before, parts).stream["y"])[:, 0, 0]
