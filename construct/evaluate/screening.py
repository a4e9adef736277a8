"""Screening: a few sketched coordinates certify most heads off, and the full residual is computed
only for the survivors.

A head weighs a token by rest + factor ||r||^2 with factor < 0. A sketch S has orthonormal rows, so
||S r|| <= ||r||: where rest + factor (||S r|| - slack)^2, slack being what the two lengths round
by, is already T behind the rival, the exact score is T behind too, its softmax weight is exactly 0,
and the sketched score stands. Everywhere else the full residual decides. The survivors are served
in passes, a head or two of a token at a time, grouped by head so that a pass is a few batches of
matrix products; where there are many survivors, all residuals are computed in full. Neither choice
changes a result.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.layout import Layout, with_layout_constraint
from jaxtyping import Array, Bool, Float, Int

from construct.evaluate.attention import Scores
from construct.evaluate.blocks import Block, Stream, Values, applied, dense, product
from construct.evaluate.plan import TermPlan

# Matters of speed alone, measured on two cores. A first pass takes tokens in groups of one head,
# up to so many times a head's share of the tokens: a head's last group is seldom full. Beyond one
# head a token it has room for a wrong task in one of so many, later passes for one token in so
# many, and so many such passes still pay.
LARGEST_GROUP = 32
SHARES = 4
SPARE = 8
LATER = 32
MOST_PASSES = 8

# On a CPU so many weights of heads are gathered at once: what lies in a core's cache when it is
# multiplied costs half of what lies in memory. Other devices gather all of a pass at once.
GATHERED = 1 << 18

# A wrong task survives at most once in so many examples; the first pass has room for one in SPARE.
FEW_SURVIVORS = 10


def sketch_size(K: int, d: int, margin: float, radius: float) -> int:
    """The coordinates by which to screen K tasks: as few as let less than one wrong task survive in
    `FEW_SURVIVORS` examples.

    That is for residuals of two independent labels of norm R in random directions, of which the
    sketched square is about 2 R^2/d times a chi-square of s degrees of freedom; it must reach
    margin^2. 0 where that takes more than half of d, and screening would save little. Results do
    not depend on it.
    """
    reach = margin**2 * d / (2 * radius**2)
    for s in range(2, d // 2 + 1, 2):
        # P(chi-square of s degrees < reach), in closed form for even s: a Poisson count of mean
        # reach/2 is at least s/2.
        term = total = math.exp(-reach / 2)
        for j in range(1, s // 2):
            term *= reach / (2 * j)
            total += term
        if K * (1 - total) <= 1 / FEW_SURVIVORS:
            return s
    return 0


def screened_score(
    term: TermPlan,
    rest: Scores,
    others: Sequence[Scores],
    stream: Stream,
    *,
    slack: Array,
    T: Array,
) -> Scores:
    """rest + factor ||r||^2 exactly for every head within T of its rival, and at most that much and
    T behind elsewhere."""
    assert term.sketch is not None, "only a term with a sketch is screened"
    part = applied(term.sketch, stream)
    rival = others[0].max(2)
    for one in others[1:]:
        rival = jnp.maximum(rival, one.max(2))
    factor = term.factor[:, None, None]
    length = jax.lax.optimization_barrier((part * part).sum(1))
    bound = rest[:, :, 0] + factor * jnp.maximum(jnp.sqrt(length) - slack, 0) ** 2
    shape: tuple[int, ...] = tuple(map(int, jnp.broadcast_shapes(bound.shape, rival.shape)))
    bound, rest = jnp.broadcast_to(bound, shape), rest[:, :, 0]
    doubt = in_doubt(bound, rival, T)
    tokens = shape[1] * shape[2]
    later = max(1, tokens // LATER)
    few = doubt.sum(0, dtype=narrow(len(doubt))).sum(dtype=int) <= tokens + MOST_PASSES * later

    # Made out here, where XLA sees that it is the prompt's own layout, and not inside the branch,
    # where it would be a copy.
    rows = {name: _by_token(stream[name], shape[1:]) for name in term.key if name in stream}

    def whole() -> Array:
        k = applied(term.key, {name: row.T.reshape(-1, *shape[1:]) for name, row in rows.items()})
        return jnp.where(doubt, rest + factor * (k * k).sum(1), bound)

    def survivors() -> Array:
        # What does not depend on the head is kept once.
        flat = jnp.broadcast_to(rest, (len(rest), *shape[1:])).reshape(-1, tokens)
        return _serve(term, rows, flat, bound.reshape(-1, tokens), doubt.reshape(-1, tokens), later)

    # Two axes: with another one of length 1, XLA would copy what a branch returns.
    return jax.lax.cond(few, survivors, lambda: whole().reshape(-1, tokens)).reshape(shape)[
        :, :, None
    ]


def group_size(tokens: int, heads: int) -> int:
    """The tokens of one head that the first pass takes together: a power of two."""
    share = max(1, SHARES * tokens // heads)
    return min(LARGEST_GROUP, 1 << (share - 1).bit_length())


def narrow(count: int) -> np.dtype:
    """The shortest signed integers that hold -1 and a count: what a pass over them takes goes by
    their bytes."""
    return np.min_scalar_type(-1 - count)


def in_doubt(bound: Array, rival: Array, T: Array) -> Array:
    """Which heads are not certified off, T behind their rival; NaN included."""
    return ~(bound <= rival - T)


def _by_token(values: Values, shape: tuple[int, ...]) -> Float[Array, "t size"]:
    x = dense(values)
    by_token = jnp.broadcast_to(x, (len(x), *shape)).reshape(len(x), -1).T
    return with_layout_constraint(by_token, Layout(major_to_minor=(0, 1)))


def _serve(
    term: TermPlan,
    stream: Mapping[str, Array],
    rest: Array,
    scores: Array,
    doubt: Bool[Array, "H t"],
    later: int,
) -> Array:
    """The scores with every head in doubt scored in full."""
    heads, tokens = doubt.shape
    factor = jnp.broadcast_to(term.factor, (heads,))

    def square(of: tuple[Array, Array]) -> Float[Array, "group"]:
        """||r||^2 of some tokens, for one head."""
        head, there = of
        parts = [
            _rows(block, stream[name][there], head)
            for name, block in term.key.items()
            if name in stream
        ]
        r = sum(parts[1:], parts[0])
        return (r * r).sum(1)

    weights = sum(_weights(block) for name, block in term.key.items() if name in stream)
    heads_at_once = max(1, GATHERED // max(1, weights))
    if jax.default_backend() != "cpu":
        heads_at_once = 2 * heads * tokens  # more than a pass has

    def one_pass(
        state: tuple[Array, Array], each: int, capacity: int, group: int
    ) -> tuple[Array, Array]:
        doubt, scores = state
        head, token = _groups(doubt, each, capacity, group)
        there = jnp.minimum(token, tokens - 1)
        squares = jax.lax.map(square, (head, there), batch_size=min(heads_at_once, len(head)))
        exact = (
            rest[jnp.minimum(head, len(rest) - 1)[:, None], there] + factor[head, None] * squares
        )
        at = jnp.where(token < tokens, head[:, None] * tokens + token, heads * tokens)

        def set_at(array: Array, value: Any) -> Array:
            flat = array.reshape(-1).at[at].set(value, mode="drop")
            return flat.reshape(heads, tokens)

        return set_at(doubt, False), set_at(scores, exact)

    # The right task, and sometimes a wrong one; then the few tokens that have more.
    group = group_size(tokens, heads)
    state = one_pass((doubt, scores), 2, tokens + tokens // SPARE, group)
    return jax.lax.while_loop(
        lambda state: state[0].any(), lambda state: one_pass(state, 1, later, 1), state
    )[1]


def _groups(
    doubt: Bool[Array, "H t"], each: int, capacity: int, group: int
) -> tuple[Int[Array, "b"], Int[Array, "b group"]]:
    """Up to `capacity` pairs of a token and a head in doubt, its first (and its last, if `each` is
    2), in blocks of one head each.

    The blocks' heads, and their tokens (t: none).
    """
    heads, tokens = doubt.shape
    index = jnp.arange(heads, dtype=narrow(heads))[:, None]
    first = jnp.where(doubt, index, index.dtype.type(heads)).min(0).astype(int)
    found = [first * tokens + jnp.arange(tokens)]
    if each == 2:
        last = jnp.where(doubt, index, index.dtype.type(-1)).max(0).astype(int)
        found.append(jnp.where(last > first, last, heads) * tokens + jnp.arange(tokens))
    packed = jnp.sort(jnp.concatenate(found), stable=False)[:capacity]
    head, token = packed // tokens, packed % tokens
    token = jnp.where(head < heads, token, tokens)
    if group == 1:
        return jnp.minimum(head, heads - 1), token[:, None]
    start = jnp.searchsorted(packed, jnp.arange(heads + 1) * tokens, method="compare_all")
    blocks = -(-jnp.diff(start) // group)
    end = jnp.cumsum(blocks)
    count = capacity // group + heads  # each head leaves at most one block unfilled
    place = ((end - blocks) * group - start[:-1])[jnp.minimum(head, heads - 1)] + jnp.arange(
        len(packed)
    )
    place = jnp.where(head < heads, place, count * group)
    table = jnp.full(count * group, tokens).at[place].set(token, mode="drop").reshape(count, group)
    return jnp.minimum(
        jnp.searchsorted(end, jnp.arange(count), side="right", method="compare_all"), heads - 1
    ), table


def _rows(
    block: Block, x: Float[Array, "group size"], head: Int[Array, ""]
) -> Float[Array, "group rank"]:
    """A block of one head times each token."""
    data = block.data[0 if block.shared else head]
    if block.run is not None:
        row, column, rank = block.run
        length = len(data)
        out = data * x[:, column : column + length]
        return jnp.pad(out, [(0, 0), (row, rank - row - length)]) if length < rank else out
    return data[:, 0] * x if x.shape[1] == 1 else product("gu,ru->gr", x, data)


def _weights(block: Block) -> int:
    """How many numbers of a block are a head's own."""
    return 0 if block.shared else math.prod(block.data.shape[1:])
