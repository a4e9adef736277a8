"""A model's weights as plain arrays, head by head: what every target of an export starts from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from construct import checks
from construct.layers import Layer, Stack


class HeadArrays(NamedTuple):
    """One head: its score is <W_Q h_q, W_K h_k>, its value W_V h_k is written back by W_O."""

    W_Q: Float[np.ndarray, "rank D"]
    W_K: Float[np.ndarray, "rank D"]
    W_V: Float[np.ndarray, "v D"]
    W_O: Float[np.ndarray, "D v"]


@dataclass(frozen=True)
class Block:
    """One layer: its name, its heads in order (idle ones too, all zero), and its MLP as W_1 (w, D)
    and W_2 (D, w), None if it has none."""

    name: str
    heads: tuple[HeadArrays, ...]
    mlp: tuple[Float[np.ndarray, "w D"], Float[np.ndarray, "D w"]] | None = None


def blocks_of(model: Stack) -> list[Block]:
    """The model's layers, in its dtype; copied only where a device holds them."""
    return [Block(layer.name, tuple(_heads(layer)), _mlp(layer)) for layer in model.layers]


def widened(block: Block, dim: int) -> Block:
    """The block on a stream that has more coordinates at its end, `dim` in all."""
    more = dim - block.heads[0].W_Q.shape[1]

    def wide(rows: Float[np.ndarray, "rows D"]) -> Float[np.ndarray, "rows dim"]:
        return np.pad(rows, ((0, 0), (0, more)))

    heads = (
        HeadArrays(wide(head.W_Q), wide(head.W_K), wide(head.W_V), wide(head.W_O.T).T)
        for head in block.heads
    )
    mlp = None if block.mlp is None else (wide(block.mlp[0]), wide(block.mlp[1].T).T)
    return Block(block.name, tuple(heads), mlp)


def idle_heads(count: int, dim: int, dtype: str) -> tuple[HeadArrays, ...]:
    """Heads that do nothing: all zero, at rank 1."""
    row, column = np.zeros((1, dim), dtype), np.zeros((dim, 1), dtype)
    return (HeadArrays(row, row, row, column),) * count


def _heads(layer: Layer) -> Iterator[HeadArrays]:
    for bank in layer.banks:
        arrays = (np.asarray(matrix[...]) for matrix in (bank.W_Q, bank.W_K, bank.W_V, bank.W_O))
        yield from map(HeadArrays._make, zip(*arrays, strict=True))


def _mlp(layer: Layer) -> tuple[np.ndarray, np.ndarray] | None:
    if layer.mlp is None:
        return None
    if layer.mlp.W_3 is not None:
        raise checks.refuse(
            "model",
            f"a model whose MLP of {layer.name} is gated",
            "cannot be written in a format of MLPs without gates",
            "export Theorem 4 on words, or save the model with model.save(path)",
        )
    return np.asarray(layer.mlp.W_1[...]), np.asarray(layer.mlp.W_2[...])


def head_dim(blocks: Sequence[Block]) -> int:
    """The least 4^k that holds every head's rows.

    Hosts divide scores by sqrt(d_head): at 4^k that is a power of two, and W_Q times it undoes the
    division to the last bit.
    """
    needed = max(max(len(head.W_Q), len(head.W_V)) for block in blocks for head in block.heads)
    size = 1
    while size < needed:
        size *= 4
    return size


def neurons(blocks: Sequence[Block]) -> int:
    """The most neurons that a block's MLP has; 0 where none has one."""
    return max(0 if block.mlp is None else len(block.mlp[0]) for block in blocks)


def square(rows: Float[np.ndarray, "rows D"], count: int) -> Float[np.ndarray, "count D"]:
    """These rows, and zeros under them up to `count`."""
    padded = np.zeros((count, rows.shape[1]), rows.dtype)
    padded[: len(rows)] = rows
    return padded
