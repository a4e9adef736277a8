"""Faults in the weights, enumerated from the weights themselves: every named block, every pair of
heads, every index.

A fault is a function that returns a changed copy of the layers' arrays. Blocks are named by the
score's term, the subspace that is read or written, and, in Commit's MLP, the corner of the
trapezoid.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from flax import nnx

from construct import Task, Transformer
from construct.words import input_slots
from tests.mutants.fault import Fault, put, swap_name
from tests.mutants.suite import Suite

OPERATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "zeroed": np.zeros_like,
    "flipped": np.negative,
    "halved": lambda block: block / 2,
    "quartered": lambda block: block / 4,
}
TRAPEZOID = 4  # units of an MLP that is a trapezoid, with a corner each
# faults of one block strike one head: the code of task 1 is the middle of a half circle of codes
HEAD = 1


def copy(model: Transformer) -> Transformer:
    """A model with the same weights, whose parameters can be changed."""
    return nnx.clone(model)


def all_faults(suite: Suite, model: Transformer) -> list[Fault]:
    """Every fault of every layer that changes a number, and the theorem's own."""
    own = suite.edge.faults(model)
    return [*_blocks(model), *_mlp_blocks(model), *_swaps(model), *_rebuilt(suite, model), *own]


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
            put(param, where, change)

        yield Fault(layer, f"{matrix}[{block}] {operation}", strike)


def _mlp_blocks(model: Transformer) -> Iterator[Fault]:
    for layer in model.layers:
        if layer.mlp is None:
            continue
        width = layer.mlp.W_1.shape[0]
        units = (
            [(f"unit {unit}", slice(unit, unit + 1)) for unit in range(width)]
            if width == TRAPEZOID
            else [("all", slice(None))]
        )
        for matrix, param in layer.mlp.matrices.items():
            for unit, rows in units:
                for name in model.residual.names:
                    columns = model.residual.where(name)
                    where = (columns, rows) if matrix == "W_2" else (rows, columns)
                    if not np.asarray(param[...])[where].any():
                        continue
                    for operation, change in OPERATIONS.items():

                        def strike(
                            model: Transformer,
                            change: Callable = change,
                            matrix: str = matrix,
                            where: tuple = where,
                            layer: str = layer.name,
                        ) -> None:
                            put(getattr(model.layer(layer).mlp, matrix), where, change)

                        yield Fault(layer.name, f"MLP {matrix}[{unit}, {name}] {operation}", strike)


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
        put(
            getattr(model.layer(layer).banks[bank], matrix),
            ([left, right],),
            lambda heads: heads[::-1],
        )

    return Fault(layer, swap_name(matrix, left, right), strike)


def _rebuilt(suite: Suite, model: Transformer) -> Iterator[Fault]:
    """One layer taken from a transformer that was built for other slots, matrices or coldness."""
    one = suite.instance
    spec, tasks = one.spec, one.tasks
    labeled = suite.theorem.labeled
    slots = spec.n - 1 if labeled else input_slots(spec)

    def moved(i: int) -> list[Task]:
        slot = (tasks[i].slot + 1) % slots
        return [replace(task, slot=slot) if j == i else task for j, task in enumerate(tasks)]

    def mistaken(i: int) -> list[Task]:
        # The bias, or the first row of words, stays the task's own, so that no two tasks are equal;
        # of vectors' matrices it is the order.
        task, other = tasks[i], tasks[(i + 1) % len(tasks)]
        if labeled:
            wrong = replace(task, weight=other.weight)
        elif suite.theorem.version == "vectors":
            wrong = replace(task, matrices=np.roll(other.matrices, 1, axis=0))
        else:
            wrong = replace(task, words=np.concatenate([task.words[:1], other.words[1:]]))
        return [wrong if j == i else task for j, task in enumerate(tasks)]

    for i in range(len(tasks)):
        slot, matrix = f"the slot of task {i} off by one", f"the matrix of task {i} another's"
        yield from _replaced(slot, suite.edge.SLOT_LAYERS, lambda i=i: suite.build(moved(i)))
        yield from _replaced(matrix, suite.edge.TASK_LAYERS, lambda i=i: suite.build(mistaken(i)))
    # A layer whose heads are all idle does not know T.
    layers = [layer.name for layer in model.layers if not all(bank.idle for bank in layer.banks)]
    T = suite.theorem.derive(spec).T
    yield from _replaced("T four times too small", layers, lambda: suite.build(coldness=T / 4))


def _replaced(name: str, layers: object, make: Callable[[], Transformer]) -> Iterator[Fault]:
    for layer in layers:

        def strike(model: Transformer, layer: str = layer) -> None:
            nnx.update(model.layer(layer), nnx.state(make().layer(layer)))

        yield Fault(layer, name, strike)
