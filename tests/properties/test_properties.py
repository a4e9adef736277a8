"""The theorems as properties over random shapes, each with a wrong weight on which it fails."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, example, given, settings

from construct.residual import Residual
from tests.properties.padded import LENGTHS, Padded, compiled
from tests.properties.properties import (
    PROPERTIES,
    abstention,
    copies,
    mixture,
    nothing,
    order,
    superposition,
    unread,
)
from tests.properties.strategies import Subject, subjects
from tests.strategies import Shape

# How many examples a property gets: the superposition of Theorem 1 first.
EXAMPLES = {1: 40, 2: 15, 3: 15}
MANY = {1: 150, 2: 40, 3: 40}
ASKED = [(theorem, holds) for theorem in EXAMPLES for holds in PROPERTIES]
ASKED.remove((3, nothing))

# The least and the greatest of everything.
CORNERS = (
    Subject("apart", Shape(1, 1, 1, 2), 0, (1,), (0,), (0,)),
    Subject("apart", Shape(24, 24, 40, 8, features=24, sum_slot=True), 0, (40,), (0,), (0,)),
)


def ask(
    holds: Callable[..., None],
    theorem: int,
    examples: int,
    fault: Callable[[Padded], Padded] = lambda model: model,
    pinned: tuple[Subject, ...] = (),
    **more: Any,
) -> None:
    """Ask a property of so many subjects of any shape, whose transformers have a fault."""

    @given(subjects(theorem, PROPERTIES[holds], "apart" if holds is nothing else None))
    def asked(subject: Subject) -> None:
        holds(subject, fault(subject.padded))

    for subject in pinned:
        asked = example(subject)(asked)
    settings(max_examples=examples, **more)(asked)()


@pytest.mark.parametrize(("theorem", "holds"), ASKED)
def test_it_holds(theorem, holds):
    main = holds is superposition
    examples = (MANY if main else EXAMPLES)[theorem]
    ask(holds, theorem, examples, pinned=CORNERS if main and theorem == 1 else ())


@pytest.mark.slow
def test_it_holds_on_five_hundred_shapes():
    before = len(compiled)
    ask(superposition, 1, 500)
    assert len(compiled) - before <= 2 * len(LENGTHS)


def gathering(change: Callable[[np.ndarray, np.ndarray, Residual], None]) -> Callable:
    """The fault by which the layer that gathers from the examples has another W_V, or another row
    in W_K for the term that says which tokens count: change(W_V, that row, residual)."""

    def fault(model: Padded) -> Padded:
        name = "tally" if model.theorem == 3 else "superpose"
        layers = list(model.layers)
        (at,) = (i for i, layer in enumerate(layers) if layer.name == name)
        bank, *idle = layers[at].heads
        if bank.terms[0] != ("committed", 1):  # not an assertion, which is what must fail below
            raise LookupError(f"{name} has no row that says which tokens count")
        bank = replace(bank, W_V=bank.W_V.copy(), W_K=bank.W_K.copy())
        change(bank.W_V, bank.W_K[0, 0], model.stack.residual)
        layers[at] = replace(layers[at], heads=(bank, *idle))
        return replace(model, layers=tuple(layers))

    return fault


@gathering
def shrunk(W_V, committed, residual):
    """The answer is 1% too short."""
    W_V *= 0.99


@gathering
def uneven(W_V, committed, residual):
    """An example's weight depends on its place."""
    committed[residual.where("e").start] += 2


@gathering
def diluted(W_V, committed, residual):
    """BOS ties with the committed examples: a mean over M + 1."""
    committed[residual.where("bos")] = -committed[residual.where("one")]


@gathering
def credulous(W_V, committed, residual):
    """Examples count whether they are committed or not."""
    ok, all_of_them = (
        residual.where("ok"),
        residual.where("inp" if "q" in residual.names else "lab"),
    )
    committed[all_of_them], committed[ok] = committed[ok], 0


@gathering
def nosy(W_V, committed, residual):
    """Every input counts, whatever its slot, and what is gathered has some of its content."""
    committed[residual.where("ok")] = 0
    committed[residual.where("inp")] = -committed[residual.where("one")]
    W_V[0, residual.where("x").start] = 1


FAULTS = {
    superposition: shrunk,
    order: uneven,
    copies: diluted,
    mixture: diluted,
    abstention: credulous,
    nothing: credulous,
    unread: nosy,
}


@pytest.mark.parametrize(("theorem", "holds"), ASKED)
def test_it_fails_on_a_wrong_weight(theorem, holds):
    only_once = {"phases": (Phase.generate,), "report_multiple_bugs": False, "database": None}
    with pytest.raises(AssertionError):
        ask(holds, theorem, 100, FAULTS[holds], derandomize=True, **only_once)
