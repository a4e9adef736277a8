"""What the seven layers' tests share: one layer's lemma on a case's last prompt, and weights that
are made wrong."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from flax import nnx

from construct import Trace, Transformer, build
from construct.layers import in_dtype
from construct.theorem1.gains import derive
from tests.strategies import Case, Shape
from verify.check import Lemma, check_lemmas
from verify.theorem1 import THEOREM1

RANDOM = Case("random", Shape(4, 16, 32, 3), 1, (32,), (3,), (3,))
SUMS = Case("random", Shape(4, 6, 8, 4, sum_slot=True), 1, (8,), (1,), (1,))
FEATURES = Case("random", Shape(5, 3, 7, 5, features=4), 1, (7,), (1,), (1,))


def lemmas(case: Case, model: Transformer | None = None) -> list[Lemma]:
    """Every layer's lemma on the last prompt."""
    return check_lemmas(
        THEOREM1,
        case.model if model is None else model,
        case.tasks,
        case.prompts[-1],
        case.instance.feature_map,
    )


def assert_lemma(case: Case, name: str) -> None:
    """The layer's stream is within its bound of the ideal one, and its gaps are as wide as they
    must be."""
    lemma = next(lemma for lemma in lemmas(case) if lemma.name == name)
    assert lemma.observed <= lemma.bound
    assert lemma.least_gap >= lemma.required_gap


def trace(case: Case) -> Trace:
    """The trace of the last prompt."""
    return case.model.trace(case.prompts[-1], attention=False)


def tokens(case: Case, array: np.ndarray) -> np.ndarray:
    """A subspace (N, size) as examples and, last, the query: (m' + 1, n, size)."""
    return array[1:].reshape(-1, case.spec.n, array.shape[1])


def required_gap(case: Case, name: str) -> float:
    """The coldness, less what rounding can take from a gap of this layer."""
    gains = derive(case.spec)
    return gains.T - 2 * gains.error(name)


def corrupt(
    case: Case, name: str, matrix: str, change: Callable[[np.ndarray], None], bank: int = 0
) -> Transformer:
    """The case's transformer with one matrix of one layer changed in place; matrix W_Q .. W_O, or
    W_1 and W_2 of the MLP."""
    model = build(case.spec, case.tasks, case.instance.feature_map)
    layer = model.layer(name)
    part = layer.mlp if matrix in ("W_1", "W_2") else layer.banks[bank]
    weights = np.array(getattr(part, matrix)[...])
    change(weights)
    with in_dtype(case.spec.dtype):
        setattr(part, matrix, nnx.Param(jnp.asarray(weights)))
    return model


def term(case: Case, name: str, row: str) -> slice:
    """The rows of W_Q and W_K of a named term of the layer's score."""
    return case.model.layer(name).banks[0].rows(row)


def assert_rejected(case: Case, name: str, model: Transformer) -> Lemma:
    """The check fails, and the first lemma that does not hold is this layer's."""
    assert all(lemma.holds for lemma in lemmas(case)), "the right weights pass"
    first = next((lemma for lemma in lemmas(case, model) if not lemma.holds), None)
    assert first is not None and first.name == name
    return first
