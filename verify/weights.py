"""Hold stored matrices, entry by entry, against the form that a theorem's statement gives them.

A theorem writes the form of each layer down (`verify.theorem1.weights`) as rows over named
subspaces; this module lays the rows out, compares, and says in words what is wrong. An entry that a
format holds is compared exactly. One that it cannot hold, a product with a gain or a cosine,
carries the error that one rounding may make. No prompt is run: what holds here holds for every
prompt."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from construct import Transformer
from construct.floats import unit_roundoff

# What a row may hold in a subspace: one number in all of its coordinates, or one for each.
Part = int | float | Float[np.ndarray, "size"]


@dataclass(frozen=True)
class StoredBank:
    """Heads as they are stored: W_Q, W_K (H, rank, D), W_V (H, v, D), W_O (H, D, v)."""

    W_Q: Float[np.ndarray, "H rank D"]
    W_K: Float[np.ndarray, "H rank D"]
    W_V: Float[np.ndarray, "H v D"]
    W_O: Float[np.ndarray, "H D v"]


@dataclass(frozen=True)
class StoredLayer:
    """A layer as it is stored; `mlp` is W_1 (w, D) and W_2 (D, w), None if there is none."""

    name: str
    banks: tuple[StoredBank, ...]
    mlp: tuple[Float[np.ndarray, "w D"], Float[np.ndarray, "D w"]] | None

    @property
    def matrices(self) -> int:
        """How many matrices this layer stores, head by head."""
        return sum(4 * len(bank.W_Q) for bank in self.banks) + (0 if self.mlp is None else 2)


def stored(model: Transformer) -> list[StoredLayer]:
    """The model's arrays, layer by layer; copied only where a device holds them."""
    return [
        StoredLayer(
            layer.name,
            tuple(
                StoredBank(
                    *(
                        np.asarray(matrix[...])
                        for matrix in (bank.W_Q, bank.W_K, bank.W_V, bank.W_O)
                    )
                )
                for bank in layer.banks
            ),
            None
            if layer.mlp is None
            else (np.asarray(layer.mlp.W_1[...]), np.asarray(layer.mlp.W_2[...])),
        )
        for layer in model.layers
    ]


def matrices(model: Transformer) -> int:
    """How many matrices a model stores: four for each head, two for each MLP."""
    return sum(layer.matrices for layer in stored(model))


class Fault(NamedTuple):
    """What is wrong with a layer's weights, in words."""

    layer: str
    what: str

    def __str__(self) -> str:
        return f"the weights of {self.layer}: {self.what}"


@dataclass(frozen=True)
class Layout:
    """Where a stream's subspaces lie: name to slice; `dim` coordinates of `dtype` in all."""

    where: Mapping[str, slice]
    dim: int
    dtype: str

    def name(self, coordinate: int) -> str:
        """The name of a coordinate: its subspace, and its place in it."""
        for name, where in self.where.items():
            if where.start <= coordinate < where.stop:
                return (
                    name if where.stop - where.start == 1 else f"{name}[{coordinate - where.start}]"
                )
        return str(coordinate)

    def row(self, parts: Mapping[str, Part]) -> "Rows":
        """One row that holds these parts exactly, and 0 elsewhere."""
        rows = self.rows(1)
        for name, part in parts.items():
            rows.values[0, self.where[name]] = part
        return rows

    def rows(self, count: int) -> "Rows":
        """Rows of zeros."""
        return Rows(np.zeros((count, self.dim)))

    def read(self, name: str, gain: float = 1.0) -> "Rows":
        """The rows that read a subspace, times a gain."""
        where = self.where[name]
        rows = self.rows(where.stop - where.start)
        np.fill_diagonal(rows.values[:, where], gain)
        return rows

    def multiple(self, gain: float, factor: Fraction | int) -> float:
        """gain * factor, exactly; NaN, which no entry equals, where the format cannot hold it."""
        if not np.isfinite(gain):
            return np.nan
        product = Fraction(gain) * factor
        if abs(product) > Fraction(float(np.finfo(self.dtype).max)):
            return np.nan
        held = float(np.dtype(self.dtype).type(float(product)))
        return held if Fraction(held) == product else np.nan


@dataclass
class Rows:
    """Rows of a matrix as they must be. `errors`: blocks (columns, how far a stored entry may be
    from its value there); elsewhere a stored entry is the value's nearest float."""

    values: Float[np.ndarray, "rows D"]
    errors: list[tuple[slice, Float[np.ndarray, "rows _"]]] = field(default_factory=list)

    def wrong(self, matrix: Float[np.ndarray, "rows D"]) -> Bool[np.ndarray, "rows D"]:
        """Which entries of a stored matrix are not as they must be."""
        with np.errstate(over="ignore"):
            wrong = matrix != self.values.astype(matrix.dtype)
        if wrong.any():
            for columns, error in self.errors:
                off = np.abs(matrix[:, columns].astype(np.float64) - self.values[:, columns])
                wrong[:, columns] &= ~(off <= error)
        return wrong


def joined(parts: Sequence[Rows]) -> Rows:
    """Rows under each other."""
    values = np.concatenate([part.values for part in parts])
    errors, start = [], 0
    for part in parts:
        for columns, error in part.errors:
            padded = np.zeros((len(values), error.shape[1]))
            padded[start : start + len(error)] = error
            errors.append((columns, padded))
        start += len(part.values)
    return Rows(values, errors)


@dataclass(frozen=True)
class HeadForm:
    """One head as it must be: its score as named terms (query rows, key rows), its value's rows,
    and the rows that its output is written by (the columns of W_O)."""

    terms: Mapping[str, tuple[Rows, Rows]]
    value: Rows
    out: Rows

    @property
    def row_names(self) -> list[str]:
        """The names of the rows of W_Q and W_K."""
        return [
            name if len(query.values) == 1 else f"{name}[{i}]"
            for name, (query, _) in self.terms.items()
            for i in range(len(query.values))
        ]


def head_faults(
    layout: Layout, layer: str, head: int, stored_head: Sequence[np.ndarray], form: HeadForm
) -> Iterator[Fault]:
    """What is wrong with a head, given as its W_Q, W_K, W_V and W_O."""
    W_Q, W_K, W_V, W_O = stored_head
    names = form.row_names
    rows = [str(i) for i in range(len(form.value.values))]
    place = f"of head {head}"
    query, key = (joined([term[side] for term in form.terms.values()]) for side in (0, 1))
    yield from matrix_faults(layout, layer, f"W_Q {place}", W_Q, query, names)
    yield from matrix_faults(layout, layer, f"W_K {place}", W_K, key, names)
    yield from matrix_faults(layout, layer, f"W_V {place}", W_V, form.value, rows)
    yield from matrix_faults(layout, layer, f"W_O {place}", W_O.T, form.out, rows)


def matrix_faults(
    layout: Layout,
    layer: str,
    name: str,
    matrix: Float[np.ndarray, "rows D"],
    rows: Rows,
    row_names: Sequence[str],
) -> Iterator[Fault]:
    """What is wrong with a matrix: its first wrong entry, and how many more there are."""
    if matrix.shape != rows.values.shape:
        yield Fault(layer, f"{name} has shape {matrix.shape}, must have {rows.values.shape}")
        return
    wrong = rows.wrong(matrix)
    if not wrong.any():
        return
    i, j = (int(index) for index in np.argwhere(wrong)[0])
    more = int(wrong.sum()) - 1
    yield Fault(
        layer,
        f"{name} is {matrix[i, j]:.9g} in row {row_names[i]} at {layout.name(j)}, must be "
        f"{rows.values[i, j]:.9g}" + (f" (and {more} more entries)" if more else ""),
    )


def idle_faults(layer: str, head: int, stored_head: Sequence[np.ndarray]) -> Iterator[Fault]:
    """What is wrong with a head that does nothing: whatever is not 0."""
    for name, matrix in zip(("W_Q", "W_K", "W_V", "W_O"), stored_head, strict=True):
        if matrix.any():
            yield Fault(layer, f"{name} of head {head} is not 0, and the head must be idle")


def heads_of(layer: StoredLayer) -> Iterator[tuple[np.ndarray, ...]]:
    """The layer's heads in order: W_Q, W_K, W_V, W_O of each."""
    for bank in layer.banks:
        yield from zip(bank.W_Q, bank.W_K, bank.W_V, bank.W_O, strict=True)


def common(values: Float[np.ndarray, "*shape"]) -> float:
    """The number that most entries hold (the first of them, if several numbers are as frequent)."""
    flat = np.asarray(values, np.float64).ravel()
    numbers, first, counts = np.unique(flat, return_index=True, return_counts=True)
    return float(numbers[max(range(len(numbers)), key=lambda i: (counts[i], -first[i]))])


def stored_product(
    dtype: str, product: Float[np.ndarray, "rows size"]
) -> Float[np.ndarray, "rows size"]:
    """How far a stored product may be from the given float64 of it: one rounding, and the float64's
    own where the format is shorter."""
    tiny = float(np.finfo(dtype).smallest_subnormal)
    own = 0.0 if dtype == "float64" else 2 * unit_roundoff("float64")
    return np.where(product == 0, 0.0, (unit_roundoff(dtype) + own) * np.abs(product) + tiny)
