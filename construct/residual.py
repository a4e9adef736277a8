"""The residual stream as named subspaces, and the codes that live in it.

A `Residual` says which coordinates a name stands for. Weights are written with `residual["y"]`, the
matrix that reads subspace y off the stream, and with sums of such matrices; nobody else counts
coordinates.
"""

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, TypeVar, cast

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from construct import checks
from construct.spec import Spec

S = TypeVar("S", bound=Array | np.ndarray)  # a stream


@dataclass(frozen=True)
class Residual:
    """Named subspaces that share a stream of `dim` coordinates, in order; `aliases` are second
    names of a subspace.

    Hashable, so that it can be static under jax.jit.
    """

    subspaces: tuple[tuple[str, int], ...]
    aliases: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        names = [name for name, _ in self.subspaces] + [alias for alias, _ in self.aliases]
        assert len(set(names)) == len(names), f"a subspace has one place: {names}"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The subspaces in order, without aliases."""
        return tuple(name for name, _ in self.subspaces)

    @cached_property
    def dim(self) -> int:
        """The embedding dimension D."""
        return sum(size for _, size in self.subspaces)

    @cached_property
    def _places(self) -> dict[str, slice]:
        found, start = {}, 0
        for name, size in self.subspaces:
            found[name] = slice(start, start + size)
            start += size
        return found | {alias: found[name] for alias, name in self.aliases}

    def where(self, name: str) -> slice:
        """The coordinates of a subspace. Raises ValueError for a name that the stream does not
        have."""
        if name not in self._places:
            raise checks.refuse(
                "subspace",
                repr(name),
                "must be a subspace of this residual stream",
                f"use one of {', '.join(self._places)}",
            )
        return self._places[name]

    def size(self, name: str) -> int:
        """The number of coordinates of a subspace."""
        where = self.where(name)
        return where.stop - where.start

    def __getitem__(self, name: str) -> Float[np.ndarray, "size D"]:
        """The matrix that reads a subspace off the stream (its transpose writes into it)."""
        where = self.where(name)
        return np.eye(where.stop - where.start, self.dim, k=where.start)

    def placed(
        self, matrix: Float[np.ndarray, "rows size"], name: str
    ) -> Float[np.ndarray, "rows D"]:
        """The matrix that reads a subspace and applies a matrix to it: matrix @ self[name], placed
        and not multiplied."""
        placed = np.zeros((len(matrix), self.dim))
        placed[:, self.where(name)] = matrix
        return placed

    def read(self, stream: S, name: str) -> S:
        """A subspace of a stream: of (*tokens, D), the last axis' coordinates of that name."""
        return cast(S, stream[..., self.where(name)])

    def replace(
        self, stream: Float[Array, "*tokens D"], name: str, value: Float[Array, "*tokens size"]
    ) -> Float[Array, "*tokens D"]:
        """The stream with one subspace replaced."""
        return stream.at[..., self.where(name)].set(value)

    def assemble(
        self, parts: Mapping[str, Float[Array | np.ndarray, "*#tokens size"]]
    ) -> Float[Array | np.ndarray, "*tokens D"]:
        """A stream with the given subspaces, and zero elsewhere; their other axes broadcast.

        A sum of padded parts, in NumPy as far as the parts are: XLA compiles one loop of it.
        """

        def placed(name: str) -> Any:
            part, where = parts[name], self.where(name)
            xp = np if isinstance(part, np.ndarray) else jnp
            sides = (where.start, self.dim - where.stop)
            return xp.pad(part, [(0, 0)] * (part.ndim - 1) + [sides])

        order = sorted(parts, key=lambda name: not isinstance(parts[name], np.ndarray))
        return reduce(operator.add, map(placed, order))


def position_code(index: int, bits: int) -> Float[np.ndarray, "bits"]:
    """The +-1 binary code of an index, lowest bit first: distinct codes differ by at least 2 in
    inner product."""
    return 2.0 * ((index >> np.arange(bits)) & 1) - 1.0


def position_codes(
    index: Int[Array | np.ndarray, "*shape"], bits: int, dtype: np.dtype
) -> Float[Array | np.ndarray, "*shape bits"]:
    """`position_code` of every entry of an integer array, where that array is."""
    return (2 * ((index[..., None] >> np.arange(bits, dtype=np.int32)) & 1) - 1).astype(dtype)


def task_codes(K: int) -> Float[np.ndarray, "K 2"]:
    """The task codes c_i = (cos 2 pi i/K, sin 2 pi i/K) on the unit circle: two coordinates,
    whatever K."""
    angle = 2 * np.pi * np.arange(K) / K
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def code_gap(K: int) -> float:
    """Least difference between <c_i, c_i> and <c_i, c_j>: 1 - cos(2 pi/K) >= 8/K^2, written without
    cancellation; 2 if K = 1."""
    return 2.0 if K == 1 else float(2 * np.sin(np.pi / K) ** 2)


def flags(spec: Spec) -> tuple[str, ...]:
    """The coordinates that say what a token is: the constant one, then its roles."""
    return ("one", "bos", "inp", "lab", "qry") + (("sum",) if spec.sum_slot else ())
