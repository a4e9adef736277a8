"""Matrices by blocks: what a stored weight matrix does to each subspace of the residual stream.

A weight of a bank, (H, rank, D), is cut at the subspaces. A block that is zero in every head is
left out, a scaled run of the identity multiplies coordinate by coordinate, and a block that is the
same in every head is kept once. All of this is read off the stored numbers and nothing is assumed:
change an entry, and its block is classified anew.

Streams keep tokens last: a subspace is (size, slots, groups), with 1 where all slots or all groups
agree. Sums over coordinates and heads then run over leading axes, which every backend vectorizes. A
subspace that is missing is exactly 0 there, so the blocks that read it are skipped.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from construct.residual import Residual


def product(subscripts: str, *arrays: Array) -> Array:
    """An einsum at the highest precision, so that a GPU's TF32 default cannot break a score."""
    return jnp.einsum(subscripts, *arrays, precision=jax.lax.Precision.HIGHEST)


# A leaf of a pytree class: an array, or whatever JAX's tree functions put in its place for a while.
Leaf = Any


@partial(jax.tree_util.register_dataclass, data_fields=["basis", "weight"], meta_fields=[])
@dataclass(frozen=True)
class Mixed:
    """A subspace that is a mixture of few vectors: sum_k weight[k] basis[:, k], as attention to the
    same keys leaves it."""

    basis: Leaf  # (size, k)
    weight: Leaf  # (k, slots, groups)

    def dense(self) -> Float[Array, "size #slots #groups"]:
        """The mixture, summed."""
        return product("uk,ksg->usg", self.basis, self.weight)


Values = Array | Mixed
Stream = Mapping[str, Values]


def dense(values: Values) -> Float[Array, "size #slots #groups"]:
    """A subspace's values, mixtures summed."""
    return values.dense() if isinstance(values, Mixed) else values


@partial(jax.tree_util.register_dataclass, data_fields=["data"], meta_fields=["run"])
@dataclass(frozen=True)
class Block:
    """One block: `data` is (H, rank, size), or for a `run` = (row, column, rank) of the identity
    (H, length).

    H = 1 if all heads agree.
    """

    data: Leaf
    run: tuple[int, int, int] | None = None

    @property
    def shared(self) -> bool:
        """Whether all heads have the same block."""
        return self.data.shape[0] == 1

    def __call__(self, values: Values) -> Float[Array, "#H rank #slots #groups"]:
        """The block times a subspace, for every head."""
        x = dense(values)
        if self.run is not None:
            row, column, rank = self.run
            length = self.data.shape[1]
            out = self.data[:, :, None, None] * x[None, column : column + length]
            return (
                jnp.pad(out, [(0, 0), (row, rank - row - length), (0, 0), (0, 0)])
                if length < rank
                else out
            )
        if x.shape[0] == 1:
            return self.data[:, :, 0, None, None] * x
        # One product of two matrices: with more axes than two, XLA copies the result into its
        # layout.
        flat = product("au,ut->at", self.data.reshape(-1, x.shape[0]), x.reshape(x.shape[0], -1))
        return flat.reshape(*self.data.shape[:2], *x.shape[1:])

    @property
    def rank(self) -> int:
        """The number of rows."""
        return self.data.shape[1] if self.run is None else self.run[2]

    def full(self, size: int) -> Float[Array, "H rank size"]:
        """The block as a matrix of `size` columns."""
        if self.run is None:
            return self.data
        row, column, rank = self.run
        at = jnp.arange(self.data.shape[1])
        return (
            jnp.zeros((len(self.data), rank, size), self.data.dtype)
            .at[:, row + at, column + at]
            .set(self.data)
        )


Blocks = dict[str, Block]


def cut(matrix: Float[np.ndarray, "H rank D"], residual: Residual, by_head: bool = False) -> Blocks:
    """The nonzero blocks of a bank's matrix by the subspace that they read; `by_head` keeps equal
    heads apart."""
    found = {name: classify(matrix[:, :, residual.where(name)], by_head) for name in residual.names}
    return {name: block for name, block in found.items() if block is not None}


def cut_rows(matrix: Float[np.ndarray, "H D v"], residual: Residual) -> Blocks:
    """The nonzero blocks of a matrix that writes into the stream, by the subspace that they write;
    heads stay apart unless they all agree in every block."""
    agree = bool((matrix == matrix[:1]).all())
    found = {name: classify(matrix[:, residual.where(name)], not agree) for name in residual.names}
    return {name: block for name, block in found.items() if block is not None}


def classify(block: Float[np.ndarray, "H rank size"], by_head: bool = False) -> Block | None:
    """The kind of a block, from its numbers; None if it is zero."""
    if not block.any():
        return None
    if not by_head and (block == block[:1]).all():
        block = block[:1]
    rank, size = block.shape[1:]
    rows, columns = np.nonzero(block.any(0))
    row, column = int(rows[0]), int(columns[0])
    if (
        size > 1
        and len(rows) == len(set(rows))
        and (rows - row == columns - column).all()
        and len(rows) == np.ptp(rows) + 1
    ):
        return Block(block[:, rows, columns], (row, column, rank))
    return Block(block)


def apply(blocks: Blocks, stream: Stream) -> Float[Array, "#H rank #slots #groups"] | None:
    """The sum of the blocks that read something of this stream; None if none does."""
    parts = [block(stream[name]) for name, block in blocks.items() if name in stream]
    return sum(parts[1:], parts[0]) if parts else None


def applied(blocks: Blocks, stream: Stream) -> Float[Array, "#H rank #slots #groups"]:
    """`apply` where some block is known to read something of this stream."""
    found = apply(blocks, stream)
    assert found is not None, "some block reads this stream"
    return found
