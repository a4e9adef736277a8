"""One fault of the weights, and the ways to strike one that several theorems' own faults share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from flax import nnx

from construct import Transformer
from construct.residual import position_code

Change = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Fault:
    """A named fault of one layer; `strike` changes a copy of the model in place."""

    layer: str
    name: str
    strike: Callable[[Transformer], None]


def put(param: nnx.Param, where: tuple, change: Change) -> None:
    """Change a block of a parameter in place."""
    array = np.array(param[...])
    array[where] = change(array[where])
    param[...] = array


def of_all_heads(
    model: Transformer, layer: str, matrix: str, where: tuple, name: str, change: Change
) -> Fault:
    """A fault of all heads of a layer's first bank at once."""
    return Fault(
        layer,
        f"{matrix}: {name}",
        lambda model: put(getattr(model.layer(layer).banks[0], matrix), where, change),
    )


def rolled(block: np.ndarray) -> np.ndarray:
    """Every task's rows moved on to the next task."""
    return np.roll(block, 1, axis=0)


def recoded(number: int, other: int, bits: int) -> Change:
    """Turns what was written with the code of one number into another's."""
    change = position_code(other, bits) / position_code(number, bits)
    return lambda block: block * change


def query_index(model: Transformer, layer: str, term: str) -> Fault:
    """The query's index off by one, where a term's keys are told by it."""
    spec, e = model.spec, model.residual.where("e")
    rows = model.layer(layer).banks[0].rows(term)
    return of_all_heads(
        model,
        layer,
        "W_K",
        (slice(None), rows, e),
        "the query's index off by one",
        recoded(spec.m, spec.m - 1, spec.example_bits),
    )


def swapped_heads(
    layer: str, matrix: str, pairs: Sequence[tuple[int, int]]
) -> set[tuple[str, str]]:
    """By layer and name, the faults that swap one matrix of two heads."""
    return {(layer, swap_name(matrix, left, right)) for left, right in pairs}


def swap_name(matrix: str, left: int, right: int) -> str:
    """What a fault that swaps one matrix of two heads is called."""
    return f"{matrix} of heads {left} and {right} swapped"
