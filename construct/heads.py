"""Small exact builders of attention heads: a score is a sum of named terms, a value is one matrix.

A head's score of key token k for query token q is sum_t <A_t h_q, B_t h_k>. The terms are stacked
into W_Q and W_K, and their names are kept, so that every row of a weight matrix can be called by
name. Scores are not divided by the square root of the rank: the gains are explicit.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from construct.residual import Residual

# A head's share of a bank is cast as soon as it is made; only one head is ever held in float64.


@dataclass(frozen=True)
class Term:
    """One named summand <query h_q, key h_k> of a score; both matrices are (rank, D)."""

    name: str
    query: Float[np.ndarray, "rank D"]
    key: Float[np.ndarray, "rank D"]


@dataclass(frozen=True)
class Head:
    """One attention head: the terms of its score, the matrix that reads its value, the matrix that
    writes it back."""

    terms: tuple[Term, ...]
    value: Float[np.ndarray, "v D"]
    out: Float[np.ndarray, "D v"]


@dataclass(frozen=True)
class HeadBank:
    """Heads of equal shape, stacked: W_Q, W_K (H, rank, D), W_V (H, v, D), W_O (H, D, v); `terms`
    name the rank's rows.

    Checks when made: the shapes agree, and a bank that is not idle has a sink: no head of it moves
    anything from BOS, whose stream is 1 in `one` and `bos` and 0 elsewhere.
    """

    W_Q: Float[np.ndarray, "H rank D"]
    W_K: Float[np.ndarray, "H rank D"]
    W_V: Float[np.ndarray, "H v D"]
    W_O: Float[np.ndarray, "H D v"]
    terms: tuple[tuple[str, int], ...]

    def check(self, residual: Residual) -> None:
        """Assert the shapes and the sink identity against a residual stream."""
        heads, rank, dim = self.W_Q.shape
        v = self.W_V.shape[1]
        assert dim == residual.dim and self.W_K.shape == (heads, rank, dim), (
            "W_Q and W_K read the same stream"
        )
        assert self.W_V.shape == (heads, v, dim) and self.W_O.shape == (heads, dim, v), (
            "W_V and W_O agree"
        )
        assert sum(size for _, size in self.terms) == rank, "the terms name every row"
        sink = (residual["one"] + residual["bos"])[0]
        assert not (self.W_V @ sink.astype(self.W_V.dtype)).any(), "BOS is the sink: its value is 0"


def bank(heads: Iterable[Head], count: int, dtype: str) -> HeadBank:
    """Stack `count` heads of equal shape, taken one at a time."""
    arrays: tuple[np.ndarray, ...] = ()
    terms: tuple[tuple[str, int], ...] = ()
    for i, head in enumerate(heads):
        matrices = (
            np.concatenate([term.query for term in head.terms]),
            np.concatenate([term.key for term in head.terms]),
            head.value,
            head.out,
        )
        if not arrays:
            arrays = tuple(_empty((count, *matrix.shape), dtype) for matrix in matrices)
            terms = tuple((term.name, len(term.query)) for term in head.terms)
        for array, matrix in zip(arrays, matrices, strict=True):
            array[i] = matrix
    return HeadBank(*arrays, terms=terms)


def _empty(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """An uninitialized array on a cache line's boundary: JAX on the CPU takes such an array over
    without a copy."""
    line = 64
    size = math.prod(shape) * np.dtype(dtype).itemsize
    buffer = np.empty(size + line, np.uint8)
    start = -buffer.ctypes.data % line
    return buffer[start : start + size].view(dtype).reshape(shape)


def idle(count: int, residual: Residual, dtype: str) -> HeadBank:
    """`count` heads that do nothing: all zero, at rank 1."""
    row, column = (
        np.zeros((count, 1, residual.dim), dtype),
        np.zeros((count, residual.dim, 1), dtype),
    )
    return HeadBank(row, row, row, column, terms=(("idle", 1),))


def banks(
    heads: Sequence[Head] | Iterable[Head], used: int, K: int, residual: Residual, dtype: str
) -> tuple[HeadBank, ...]:
    """The K heads of a layer: the `used` ones that its verb needs, and idle ones for the rest."""
    parts = (bank(heads, used, dtype),) if used else ()
    return parts + ((idle(K - used, residual, dtype),) if used < K else ())
