"""Products of bfloat16 numbers in place of float32 ones, with the same result, for devices that
multiply them faster.

A bfloat16 number has 8 significant bits and float32's exponents. A product of two of them is exact
in float32, where sums are kept. Over a one-hot vocabulary nearly all that attention multiplies is
such a number already: codes, flags and contents are small integers, gains have `SHORT_BITS` bits,
weights of a hard softmax are 0 or 1. What needs more bits (a threshold, a task code) is split into
two or three such numbers, whose products are summed. How many is read off the stored weights;
whether they suffice is seen on the numbers of every run: what is not exact becomes NaN, and so does
the answer. Ours; why the answer has float32's bits is in proofs/README.md, section 6.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from construct.floats import SHORT_BITS
from construct.layers import Heads, Stack
from construct.residual import flags

MOST_PIECES = 3  # so many pieces of 8 bits hold the 24 bits of a float32 number
DOUBLE_BITS = 53
POSITIONS = ("e", "s")

# What is multiplied is no longer than this: a product is 2^80 at most, and no sum of fewer than
# 2^46 overflows. What is moved is no less than its least, or 0, so that no last bit of a product of
# two pieces, 2^-23 of a value times 2^-7 of a weight, is below the least normal number 2^-126.
# Values reach further down than weights: cos(pi/2) is 6e-17. A score has no least: what it loses of
# tiny readings, 2^-126 times a reading, leaves any softmax weight as it is.
LARGEST = 2.0**40
LEAST_VALUE, LEAST_WEIGHT = 2.0**-70, 2.0**-26


class Pieces(NamedTuple):
    """Into how many bfloat16 numbers each row's reading is split, by row of W_Q, W_K and W_V."""

    query: tuple[int, ...]
    key: tuple[int, ...]
    value: tuple[int, ...]


# By layer and bank; None for an idle bank, whose products are not taken.
AllPieces = tuple[tuple[Pieces | None, ...], ...]


def pieces_of(model: Stack) -> AllPieces:
    """By layer and bank, the pieces of its readings; None for an idle bank, whose products are not
    taken."""

    def split(bank: Heads) -> Pieces:
        return Pieces(
            *(
                _pieces(np.asarray(w[...], np.float64), model)
                for w in (bank.W_Q, bank.W_K, bank.W_V)
            )
        )

    return tuple(
        tuple(None if bank.idle else split(bank) for bank in layer.banks) for layer in model.layers
    )


def _pieces(rows: Float[np.ndarray, "H rows D"], model: Stack) -> tuple[int, ...]:
    """By row, the pieces that hold its reading in every head where contents are words.

    The reading then takes one coordinate of each content, flags times 0 or 1, codes of positions
    times +-1, and a count of up to K: a multiple of the least bit that is set in its weights, and
    no longer than the sum of those of one sign. With a sum slot a content is as many words as are
    summed. A task code has all the bits of its format.
    """
    spec, residual = model.spec, model.residual
    rows = np.where(np.isfinite(rows), rows, 0)  # else the run gives NaN, whatever is done here
    words = spec.n - 2 if spec.sum_slot else 1
    most = (
        dict.fromkeys(residual.names, words)
        | dict.fromkeys((*flags(spec), "ok"), 1)
        | {"count": spec.K}
    )
    longest = np.zeros((2, *rows.shape[:-1]))
    for name in residual.names:
        part = rows[..., residual.where(name)]
        if name in POSITIONS:
            longest += np.abs(part).sum(-1)
        else:
            longest += most[name] * np.stack([part, -part]).clip(0).max(-1)
    bits = 1 + np.floor(np.log2(np.maximum(longest.max(0) / _unit(rows), 1)))
    needed = np.clip(np.ceil(bits / SHORT_BITS), 1, MOST_PIECES)
    if "z" in residual.names:
        needed = np.where(rows[..., residual.where("z")].any(-1), MOST_PIECES, needed)
    return tuple(int(pieces) for pieces in needed.max(0))


def _unit(rows: Float[np.ndarray, "H rows D"]) -> Float[np.ndarray, "H rows"]:
    """By row, the largest power of two of which all its entries are multiples; 1 for a row of
    zeros."""
    significand, exponent = np.frexp(rows)
    whole = np.ldexp(significand, DOUBLE_BITS).astype(np.int64)
    lowest = np.ldexp((whole & -whole).astype(float), exponent - DOUBLE_BITS)
    unit = np.where(rows != 0, lowest, np.inf).min(-1)
    return np.where(np.isfinite(unit), unit, 1.0)


@dataclass(frozen=True)
class Split:
    """How a bank's readings become bfloat16 operands; what is not exact, at a real token, becomes
    NaN."""

    pieces: Pieces

    @property
    def _pairs(self) -> list[tuple[int, int, np.ndarray]]:
        # Piece i of a query's row meets piece j of its key's.
        query, key = (np.array(part) for part in self.pieces[:2])
        pairs = [
            (i, j, np.flatnonzero((query > i) & (key > j)))
            for i in range(MOST_PIECES)
            for j in range(MOST_PIECES)
        ]
        return [(i, j, rows) for i, j, rows in pairs if len(rows)]

    @property
    def _columns(self) -> list[np.ndarray]:
        value = np.array(self.pieces.value)
        return [np.flatnonzero(value > i) for i in range(value.max())]

    def queries(
        self, queries: Float[Array, "H q rank"], real: Bool[Array, "q"]
    ) -> Float[Array, "H q wide"]:
        """The queries' pieces, in the order of the keys'."""
        parts = _split(queries, self.pieces.query, real)
        return jnp.concatenate([_take(parts[i], rows) for i, _, rows in self._pairs], -1)

    def keys(
        self, keys: Float[Array, "H N rank"], real: Bool[Array, "N"]
    ) -> Float[Array, "H N wide"]:
        """The keys' pieces."""
        parts = _split(keys, self.pieces.key, real)
        return jnp.concatenate([_take(parts[j], rows) for _, j, rows in self._pairs], -1)

    def values(
        self, values: Float[Array, "H N v"], real: Bool[Array, "N"]
    ) -> Float[Array, "H N wide"]:
        """The values' pieces: first every row's leading one."""
        parts = _split(values, self.pieces.value, real, LEAST_VALUE)
        return jnp.concatenate(
            [_take(part, rows) for part, rows in zip(parts, self._columns, strict=True)], -1
        )

    def joined(self, moved: Float[Array, "H q wide"]) -> Float[Array, "H q v"]:
        """What was moved, of its pieces."""
        first, *others = self._columns
        whole, start = moved[..., : len(first)], len(first)
        for rows in others:
            whole = whole.at[..., rows].add(moved[..., start : start + len(rows)])
            start += len(rows)
        return whole


def rounded(weights: Float[Array, "H q N"], real: Bool[Array, "q"]) -> Float[Array, "H q N"]:
    """Softmax weights in bfloat16: 0, or 1, or of 8 bits; NaN where they are not, at a real
    token."""
    # On the way from the exponential to the product, at no pass over the weights of its own.
    exact = (_leading(weights) == weights) & ((weights == 0) | (weights >= LEAST_WEIGHT))
    return jnp.where(exact | ~real[:, None], weights, jnp.nan).astype(jnp.bfloat16)


def _leading(a: Array) -> Array:
    """Rounded to a bfloat16 number; a cast there and back is one that a compiler may take for no
    rounding at all."""
    return jax.lax.reduce_precision(a, exponent_bits=8, mantissa_bits=SHORT_BITS - 1)


def _split(
    readings: Float[Array, "H N rows"],
    pieces: tuple[int, ...],
    real: Bool[Array, "N"],
    least: float = 0.0,
) -> list[Float[Array, "H N rows"]]:
    """The leading bits of each row, those of what they leave, and so on, as many as its `pieces`;
    NaN where bits are left, and for numbers that are not 0 and not between the least and the
    largest."""
    counts, parts, rest = np.array(pieces), [], readings
    left = jnp.zeros_like(readings)
    for i in range(counts.max()):
        parts.append(_leading(rest))
        rest = rest - parts[-1]
        left = jnp.where(counts == i + 1, rest, left)
    size = jnp.abs(readings)
    exact = (size == 0) | ((left == 0) & (size >= least) & (size <= LARGEST))
    parts[0] = jnp.where(exact | ~real[:, None], parts[0], jnp.nan)
    return [part.astype(jnp.bfloat16) for part in parts]


def _take(part: Float[Array, "H N rows"], rows: np.ndarray) -> Float[Array, "H N some"]:
    """Some rows' readings: slices where rows follow one another, which is faster than looking each
    up."""
    runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
    return jnp.concatenate([part[..., run[0] : run[-1] + 1] for run in runs], -1)
