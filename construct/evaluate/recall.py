"""What a memory runs on the device: representatives through the encoding layers, a query through
the decoding layers, and those layers as one affine map.

The layers are those of `construct.evaluate.program`. Where the decoding layers begin follows from
the supports: at the first layer in which an example's tokens may depend on the query.
"""

from collections.abc import Callable
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from construct.evaluate import chunk, program
from construct.evaluate.chunk import Variant
from construct.evaluate.joined import Joined, flattened
from construct.evaluate.plan import Plan
from construct.evaluate.program import Classes
from construct.roles import INPUT, LABEL

Features = tuple[str, str]  # the role of the tokens that hold them, and the subspace

# One query is some fifty steps of a microsecond: on a CPU they run one after the other on one core,
# as handing a step to another core takes longer than the step. A matter of speed alone.
ONE_BY_ONE: dict[str, str | bool] = {
    "xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED",
    "xla_cpu_multi_thread_eigen": False,
}


@jax.jit
def encode(plan: Plan, x: Float[Array, "K slots d"], y: Float[Array, "K d"]) -> Classes:
    """Representatives, one a task, before the first decoding layer."""
    # BOS and the query before each layer; no example sees this query here.
    before = program.prelude(plan, jnp.zeros(x.shape[1:], x.dtype))
    inputs, label = program.embed_group(plan, x, y, jnp.arange(len(x)))
    return program.advance(plan, before, {INPUT: inputs, LABEL: label}, 0, program.decoding(plan))


def decode(
    joined: Joined, state: Joined, query: Float[np.ndarray, "slots d"], *, variant: Variant
) -> Float[Array, "d+1"]:
    """The answer to a query, and after it the largest norm of all tasks' outputs on it.

    joined: plan, norms and limits. state: the representatives, and how many each stands for.
    """
    return _compiled()(joined, state, query, variant=variant)


@lru_cache(maxsize=1)
def _compiled() -> Callable[..., Array]:
    """`_decode` compiled, to run one by one where this XLA knows how."""
    options: dict[str, str | bool] | None = ONE_BY_ONE
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:
        options = None
    return jax.jit(_decode, static_argnames="variant", compiler_options=options)


def _decode(
    joined: Joined, state: Joined, query: Float[Array, "slots d"], *, variant: Variant
) -> Float[Array, "d+1"]:
    plan, norms, limits = joined.split()
    kept, times = state.split()
    before, query_norms = chunk.start_query(plan, norms, limits, query, variant=variant)
    return flattened([_answer(plan, before, kept, times), query_norms.max()], query.dtype)


@partial(jax.jit, static_argnames="features")
def affine(
    plan: Plan, kept: Classes, times: Float[Array, "K"], *, features: Features
) -> tuple[Float[Array, "slots d r"], Float[Array, "d"]]:
    """The decoding layers as a map of the query's features: their derivative, and what they answer
    to features 0."""
    slots, d = plan.n - 1, plan.residual.size("x")
    before = program.prelude(plan, jnp.zeros((slots, d), times.dtype))
    r = plan.residual.size(features[1])
    answer = partial(_answer, plan, before, kept, times, features)
    bias, along = jax.linearize(answer, jnp.zeros((r, slots, 1), times.dtype))
    directions = jnp.eye(r * slots, dtype=times.dtype).reshape(-1, r, slots, 1)
    columns = jax.lax.map(along, directions, batch_size=min(len(directions), BATCH))
    return jnp.moveaxis(columns.reshape(r, slots, d), 0, 2), bias


# Directions along which the map is differentiated at once: bounds its memory, and nothing else.
BATCH = 64


@partial(jax.jit, static_argnames="features")
def lift(
    plan: Plan, kept: Classes, queries: Float[Array, "b slots d"], *, features: Features
) -> Float[Array, "b slots r"]:
    """The features of queries, where the decoding layers read them."""
    role, name = features

    def one(query: Float[Array, "slots d"]) -> Float[Array, "slots r"]:
        before = program.prelude(plan, query)
        classes = before[-1]
        if role == INPUT:  # fetched by every example alike: the first one's will do
            first = jax.tree.map(lambda leaf: leaf[..., :1], kept)
            classes = program.advance(plan, before, first, program.decoding(plan))
        return classes[role].read(name, plan.residual.size(name))[:, :, 0].T

    return jax.vmap(one)(queries)


def _answer(
    plan: Plan,
    before: list[Classes],
    kept: Classes,
    times: Float[Array, "K"],
    features: Features | None = None,
    phi: Float[Array, "r slots 1"] | None = None,
) -> Float[Array, "d"]:
    """The decoding layers on representatives; with `phi`, on these features in place of the
    query's."""

    def hold(classes: Classes) -> Classes:
        if features is None or phi is None or features[0] not in classes:
            return classes
        role, name = features
        tokens = classes[role]
        if name not in tokens.stream:
            return classes
        return classes | {role: tokens.holding(name, phi)}

    before, classes = [hold(classes) for classes in before], kept
    for i in range(program.decoding(plan), program.meeting(plan)):
        classes = hold(program.advance(plan, before, classes, i, i + 1))
    shares = program.gather(plan, before, classes, times > 0, times)
    return chunk.vector(plan, before, shares)
