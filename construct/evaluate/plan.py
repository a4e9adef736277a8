"""The plan of an evaluation: a model's stored weights, cut into blocks, with the heads that do
nothing left out.

A plan is made from the numbers that the model holds now (`construct.evaluate.prepared` keeps it
only while the model holds the very same arrays), so that an edited weight counts like any other.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import jax
import numpy as np
from jaxtyping import Float

from construct.evaluate.blocks import Block, Blocks, Leaf, cut, cut_rows
from construct.floats import unit_roundoff
from construct.layers import Heads, Layer, Stack, Support
from construct.residual import Residual

# W_Q and W_K are rounded once each, and so is their ratio on either side: that many roundings
# apart, two rows are one factor.
FACTOR_ROUNDINGS = 4


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["query", "key", "factor", "sketch"],
    meta_fields=["name"],
)
@dataclass(frozen=True)
class TermPlan:
    """Rows of a bank's score: a named term, or those of its rows that read the same subspaces.

    factor (H or 1,): W_Q = factor W_K, head by head, up to rounding; None if it is not so. sketch:
    a few orthonormal combinations of the key side's rows, for screening; None without.
    """

    name: str
    query: Blocks
    key: Blocks
    factor: Leaf
    sketch: Blocks | None = None


# By the class of key tokens and whether each query token sees itself alone among them, then by
# subspace: W_V times what these tokens hold; where each sees itself alone, W_V times the few
# vectors of which every one of them holds a mixture (`Mixed.basis`).
Fixed = Mapping[tuple[str, bool], Mapping[str, Leaf]]


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["terms", "value", "out", "fixed"],
    meta_fields=["count", "axis"],
)
@dataclass(frozen=True)
class BankPlan:
    """A bank of `count` heads: the terms of its scores, W_V by the subspace it reads, W_O by the
    subspace it writes.

    axis: the axis of a device mesh over which the bank's heads are split, `count` of them to a
    device; None: they are not. fixed: what W_V makes, by head, of vectors that are the same beside
    every example; empty where it was not made beforehand.
    """

    terms: tuple[TermPlan, ...]
    value: Blocks
    out: Blocks
    count: int
    axis: str | None = None
    fixed: Fixed = field(default_factory=dict)

    @property
    def width(self) -> int:
        """The size of a head's value."""
        return next(iter(self.value.values())).rank

    @property
    def matrices(self) -> Blocks:
        """The blocks of W_V that are a matrix of its own for each head."""
        return {
            name: block
            for name, block in self.value.items()
            if not block.shared and block.run is None
        }

    @property
    def alike(self) -> bool:
        """Whether all heads write alike, so that their values can be summed before they are
        written."""
        return all(block.shared for block in self.out.values())


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["banks", "W_1", "W_2"],
    meta_fields=["name", "support", "causal"],
)
@dataclass(frozen=True)
class LayerPlan:
    """A layer: the banks that do something, and its MLP's matrices (empty: no MLP)."""

    name: str
    support: Support
    causal: bool
    banks: tuple[BankPlan, ...]
    W_1: Blocks
    W_2: Blocks


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["layers", "outputs"],
    meta_fields=["residual", "m", "n"],
)
@dataclass(frozen=True)
class Plan:
    """All layers, the layout of a prompt, and the rows that give every task's output at an input (a
    hypothesis bounds it)."""

    layers: tuple[LayerPlan, ...]
    outputs: Blocks
    residual: Residual
    m: int
    n: int

    def holding(self, fixed: Sequence[Sequence[Fixed]]) -> "Plan":
        """This plan with what its first layers' banks need not make again for every example."""
        first = (
            replace(
                layer,
                banks=tuple(
                    replace(bank, fixed=made) for bank, made in zip(layer.banks, banks, strict=True)
                ),
            )
            for layer, banks in zip(self.layers, fixed, strict=False)
        )
        return replace(self, layers=(*first, *self.layers[len(fixed) :]))


def make_plan(model: Stack, sketch: int = 0) -> Plan:
    """The plan of a model, on the host; sketch: the coordinates by which Recognize is screened (0:
    it is not)."""
    screened = {model.readout.layer: sketch} if sketch else {}
    layers = tuple(
        _layer(layer, model.residual, screened.get(layer.name, 0)) for layer in model.layers
    )
    rows = model.output_rows()
    # Where all functions are 0, so is this one block.
    zero = {"x": Block(rows[:1, :, model.residual.where("x")])}
    outputs = cut(rows, model.residual) or zero
    return Plan(layers, outputs, model.residual, model.spec.m, model.spec.n)


def _layer(layer: Layer, residual: Residual, sketch: int) -> LayerPlan:
    banks = tuple(_bank(bank, residual, sketch) for bank in layer.banks if moves(bank))
    if layer.mlp is None:
        return LayerPlan(layer.name, layer.support, layer.causal, banks, {}, {})
    W_1, W_2 = (np.asarray(weight[...])[None] for weight in (layer.mlp.W_1, layer.mlp.W_2))
    return LayerPlan(
        layer.name, layer.support, layer.causal, banks, cut(W_1, residual), cut_rows(W_2, residual)
    )


def moves(part: Layer | Heads) -> bool:
    """Whether a bank of heads, or any bank of a layer, moves anything: not if W_V or W_O is 0
    throughout, whatever its scores."""
    if isinstance(part, Layer):
        return any(moves(bank) for bank in part.banks)
    return bool(np.asarray(part.W_V[...]).any() and np.asarray(part.W_O[...]).any())


def _bank(bank: Heads, residual: Residual, sketch: int) -> BankPlan:
    W_Q, W_K, W_V, W_O = (
        np.asarray(weight[...]) for weight in (bank.W_Q, bank.W_K, bank.W_V, bank.W_O)
    )
    terms = tuple(
        _term(name, W_Q[:, rows], W_K[:, rows], residual, sketch)
        for name, _ in bank.terms
        for rows in _parts(W_Q, W_K, bank.rows(name), residual)
    )
    return BankPlan(terms, cut(W_V, residual), cut_rows(W_O, residual), bank.count)


def _parts(
    W_Q: np.ndarray, W_K: np.ndarray, rows: slice, residual: Residual
) -> Iterator[np.ndarray]:
    """The rows of a term in groups that read no subspace in common; rows that are 0 on either side
    are left out."""
    groups: list[tuple[set[str], list[int]]] = []
    for row in range(rows.start, rows.stop):
        if not (W_Q[:, row].any() and W_K[:, row].any()):
            continue
        read = {
            name
            for name in residual.names
            for W in (W_Q, W_K)
            if W[:, row, residual.where(name)].any()
        }
        members = [row]
        for group in [group for group in groups if group[0] & read]:
            groups.remove(group)
            read |= group[0]
            members += group[1]
        groups.append((read, members))
    for _, members in groups:
        yield np.sort(members)


def _term(
    name: str, query: np.ndarray, key: np.ndarray, residual: Residual, sketch: int
) -> TermPlan:
    factor = shared_factor(query, key)
    sketched = None
    if sketch < query.shape[1] and sketch and factor is not None and (factor < 0).all():
        # In float64 and rounded once, so that a sketched residual rounds by no more than the
        # residual, which has more rows.
        rows = orthonormal_rows(query.shape[1], sketch)
        sketched = cut(
            np.einsum("sa,had->hsd", rows, key, optimize=True).astype(query.dtype), residual
        )
    return TermPlan(name, cut(query, residual), cut(key, residual), factor, sketched)


def shared_factor(
    query: Float[np.ndarray, "H rank D"], key: Float[np.ndarray, "H rank D"]
) -> Float[np.ndarray, "factors"] | None:
    """The numbers c_h with query[h] = c_h key[h] up to the rounding of their dtype; None if there
    are none."""
    wide = np.float64
    square = np.einsum("had,had->h", key, key, dtype=wide)
    if not square.all():
        return None
    factor = np.einsum("had,had->h", query, key, dtype=wide) / square
    if (factor == factor[0]).all():
        factor = factor[:1]
    allowed = FACTOR_ROUNDINGS * unit_roundoff(query.dtype.name)
    for q, k, c in zip(query, key, np.broadcast_to(factor, len(query)), strict=True):
        if not (np.abs(q - c * k.astype(wide)) <= allowed * np.abs(q)).all():
            return None
    return factor.astype(query.dtype)


def orthonormal_rows(rank: int, count: int) -> Float[np.ndarray, "count rank"]:
    """A fixed set of orthonormal rows, in general position to everything else here."""
    return np.linalg.qr(np.random.default_rng(rank).normal(size=(rank, count)))[0].T
