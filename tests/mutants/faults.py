"""Faults in the weights, enumerated from the weights themselves: every named block, every pair of
heads, every index.

A fault is a function that returns a changed copy of the layers' arrays. Blocks are named by the
score's term, the subspace that is read or written, and, in Commit's MLP, the corner of the
trapezoid.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from flax import nnx

from construct import Task, Transformer
from construct.residual import position_code
from tests.mutants.suite import Suite

OPERATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "zeroed": np.zeros_like,
    "flipped": np.negative,
    "halved": lambda block: block / 2,
    "quartered": lambda block: block / 4,
}
TRAPEZOIDS = ("commit", "recognize")  # layers whose MLP, if any, is four units with a corner each
# faults of one block strike one head: the code of task 1 is the middle of a half circle of codes
HEAD = 1


@dataclass(frozen=True)
class Fault:
    """A named fault of one layer; `strike` changes a copy of the model in place."""

    layer: str
    name: str
    strike: Callable[[Transformer], None]


def copy(model: Transformer) -> Transformer:
    """A model with the same weights, whose parameters can be changed."""
    return nnx.clone(model)


def all_faults(suite: Suite, model: Transformer) -> list[Fault]:
    """Every fault of every layer that changes a number, and of Theorem 3's mask."""
    special = {1: _codes, 2: _offers, 3: _gates}[suite.theorem.number]
    return [*_blocks(model), *_mlp_blocks(model), *_swaps(model), *_rebuilt(suite), *special(model)]


def _blocks(model: Transformer) -> Iterator[Fault]:
    for layer in model.layers:
        for b, bank in enumerate(layer.banks):
            if bank.idle:
                continue
            head = min(HEAD, bank.count - 1)
            reads = [(name, model.residual.where(name)) for name in model.residual.names]
            for term, _ in bank.terms:
                for matrix in ("W_Q", "W_K"):
                    for name, columns in reads:
                        yield from _operations(
                            layer.name,
                            b,
                            matrix,
                            f"{term}.{name}",
                            (head, bank.rows(term), columns),
                            model,
                        )
            written = [
                (name, where)
                for name, where in reads
                if np.asarray(bank.W_O[...])[head, where].any()
            ]
            for name, where in reads:
                yield from _operations(layer.name, b, "W_O", name, (head, where), model)
            for target, where in written:
                rows = np.flatnonzero(np.asarray(bank.W_O[...])[head, where].any(0))
                for name, columns in reads:
                    yield from _operations(
                        layer.name, b, "W_V", f"{name} -> {target}", (head, rows, columns), model
                    )


def _operations(
    layer: str, bank: int, matrix: str, block: str, where: tuple, model: Transformer
) -> Iterator[Fault]:
    array = np.asarray(getattr(model.layer(layer).banks[bank], matrix)[...])
    if not array[where].any():
        return
    for operation, change in OPERATIONS.items():

        def strike(model: Transformer, change: Callable = change) -> None:
            param = getattr(model.layer(layer).banks[bank], matrix)
            _put(param, where, change)

        yield Fault(layer, f"{matrix}[{block}] {operation}", strike)


def _mlp_blocks(model: Transformer) -> Iterator[Fault]:
    for layer in model.layers:
        if layer.mlp is None:
            continue
        width = layer.mlp.W_1.shape[0]
        units = (
            [(f"unit {unit}", slice(unit, unit + 1)) for unit in range(width)]
            if layer.name in TRAPEZOIDS
            else [("all", slice(None))]
        )
        for matrix in ("W_1", "W_2"):
            for unit, rows in units:
                for name in model.residual.names:
                    columns = model.residual.where(name)
                    where = (rows, columns) if matrix == "W_1" else (columns, rows)
                    if not np.asarray(getattr(layer.mlp, matrix)[...])[where].any():
                        continue
                    for operation, change in OPERATIONS.items():

                        def strike(
                            model: Transformer,
                            change: Callable = change,
                            matrix: str = matrix,
                            where: tuple = where,
                            layer: str = layer.name,
                        ) -> None:
                            _put(getattr(model.layer(layer).mlp, matrix), where, change)

                        yield Fault(layer.name, f"MLP {matrix}[{unit}, {name}] {operation}", strike)


def _put(param: nnx.Param, where: tuple, change: Callable[[np.ndarray], np.ndarray]) -> None:
    array = np.array(param[...])
    array[where] = change(array[where])
    param[...] = array


def _swaps(model: Transformer) -> Iterator[Fault]:
    """One matrix of two heads exchanged, where the two differ."""
    for layer in model.layers:
        for b, bank in enumerate(layer.banks):
            for matrix in ("W_Q", "W_K", "W_V", "W_O"):
                array = np.asarray(getattr(bank, matrix)[...])
                for left in range(bank.count):
                    right = (left + 1) % bank.count
                    if np.array_equal(array[left], array[right]):
                        continue
                    yield _swap(layer.name, b, matrix, left, right)


def _swap(layer: str, bank: int, matrix: str, left: int, right: int) -> Fault:
    def strike(model: Transformer) -> None:
        _put(
            getattr(model.layer(layer).banks[bank], matrix),
            ([left, right],),
            lambda heads: heads[::-1],
        )

    return Fault(layer, f"{matrix} of heads {left} and {right} swapped", strike)


def _rebuilt(suite: Suite) -> Iterator[Fault]:
    """One layer taken from a transformer that was built for other slots, matrices or coldness."""
    one = suite.instance
    spec, tasks = one.spec, one.tasks

    def moved(i: int) -> list[Task]:
        slot = (tasks[i].slot + 1) % (spec.n - 1)
        return [replace(task, slot=slot) if j == i else task for j, task in enumerate(tasks)]

    def mistaken(i: int) -> list[Task]:
        # The bias stays the task's own, so that no two tasks are equal.
        other = tasks[(i + 1) % len(tasks)]
        return [
            replace(task, weight=other.weight) if j == i else task for j, task in enumerate(tasks)
        ]

    for i in range(len(tasks)):
        slot, matrix = f"the slot of task {i} off by one", f"the matrix of task {i} another's"
        yield from _replaced(slot, suite.slot_layers, lambda i=i: suite.build(moved(i)))
        yield from _replaced(matrix, suite.task_layers, lambda i=i: suite.build(mistaken(i)))
    layers = [check.__name__.rpartition("_")[2] for check in suite.theorem.checks]
    T = suite.theorem.derive(spec).T
    yield from _replaced("T four times too small", layers, lambda: suite.build(coldness=T / 4))


def _replaced(name: str, layers: object, make: Callable[[], Transformer]) -> Iterator[Fault]:
    for layer in layers:

        def strike(model: Transformer, layer: str = layer) -> None:
            nnx.update(model.layer(layer), nnx.state(make().layer(layer)))

        yield Fault(layer, name, strike)


def _rows(
    model: Transformer, layer: str, matrix: str, where: tuple, name: str, change: Callable
) -> Fault:
    """A fault of all heads of a layer's first bank at once."""
    return Fault(
        layer,
        f"{matrix}: {name}",
        lambda model: _put(getattr(model.layer(layer).banks[0], matrix), where, change),
    )


def _roll(codes: np.ndarray) -> np.ndarray:
    return np.roll(codes, 1, axis=0)


def _recoded(number: int, other: int, bits: int) -> Callable[[np.ndarray], np.ndarray]:
    """Turns what was written with the code of one number into another's."""
    change = position_code(other, bits) / position_code(number, bits)
    return lambda block: block * change


def _codes(model: Transformer) -> Iterator[Fault]:
    """Theorem 1: all tasks' codes shifted by one, where they are written and where they are read;
    the query's index off by one."""
    z, shifted = model.residual.where("z"), "codes shifted by one task"
    yield _rows(model, "recognize", "W_V", (slice(None), slice(0, 2)), shifted, _roll)
    for layer in ("fetch", "execute"):
        yield _rows(
            model,
            layer,
            "W_Q",
            (slice(None), model.layer(layer).banks[0].rows("code"), z),
            shifted,
            _roll,
        )
    yield _query_index(model, "fetch", "place")


def _query_index(model: Transformer, layer: str, term: str) -> Fault:
    spec, e = model.spec, model.residual.where("e")
    change = _recoded(spec.m, spec.m - 1, spec.example_bits)
    return _rows(
        model,
        layer,
        "W_K",
        (slice(None), model.layer(layer).banks[0].rows(term), e),
        "the query's index off by one",
        change,
    )


def _offers(model: Transformer) -> Iterator[Fault]:
    """Theorem 2: the code that cancels the query's index, and the one that cancels the label's
    slot, off by one."""
    spec, bank, where = model.spec, model.layer("pair").banks[0], model.residual.where
    for term, flag, number, bits in (
        ("example", "qry", spec.m, spec.example_bits),
        ("slot", "lab", spec.n - 1, spec.slot_bits),
    ):
        block = (slice(None), bank.rows(term), where(flag).start)
        name = f"{flag} cancels the {term} before its own"
        yield _rows(model, "pair", "W_K", block, name, _recoded(number, number - 1, bits))


def _gates(model: Transformer) -> Iterator[Fault]:
    """Theorem 3: the task vector's coordinates shifted by one task, where they are written and
    read; the query's index off by one; a gate of another slope; the mask dropped."""
    w = model.residual.where("w")
    yield _rows(model, "recognize", "W_O", (slice(None), w), "w shifted by one task", _roll)
    yield _rows(
        model,
        "tally",
        "W_O",
        (slice(None), w),
        "w shifted by one task",
        lambda block: np.roll(block, 1, axis=1),
    )
    for layer in ("balance", "open", "correct"):
        yield _query_index(model, layer, "place")
        if layer != "balance":
            rows = model.layer(layer).banks[0].rows("weight")
            yield _rows(model, layer, "W_Q", (slice(None), rows, w), "w shifted by one task", _roll)
            yield _rows(
                model,
                layer,
                "W_Q",
                (slice(None), rows),
                "the slope 1% off",
                lambda block: 1.01 * block,
            )
        yield _rows(
            model,
            layer,
            "W_O",
            (slice(None),),
            "the coefficient 1% off",
            lambda block: 1.01 * block,
        )
    for layer in model.layers:
        yield Fault(
            layer.name,
            "the mask dropped",
            lambda model, name=layer.name: setattr(model.layer(name), "causal", False),
        )
