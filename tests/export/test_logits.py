"""Lemma E4: the block's function is the logarithm at every answer that there can be, and a softmax
gives the answer back."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from construct.export.logits import (
    NAME,
    farey,
    floor,
    knots_of,
    logits_block,
    slopes,
    widened,
)
from construct.residual import Residual
from proofs.export.logits import probability_error, steepest

D = 5
STREAM = Residual((("y", D), ("one", 1)))


def logits_of(answer: np.ndarray, m: int, dtype: str = "float32") -> np.ndarray:
    """What the block writes for an answer."""
    wide = widened(STREAM, D)
    block = logits_block(wide, "y", m, 2, dtype)
    assert block.mlp is not None and len(block.heads) == 2
    W_1, W_2 = block.mlp
    h = np.zeros(wide.dim, dtype)
    h[wide.where("y")], h[wide.where("one")] = answer, 1
    return (W_2 @ np.maximum(W_1 @ h, 0))[wide.where(NAME)]


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()


@pytest.mark.parametrize("m", [1, 2, 5, 12])
def test_the_fractions_are_all_that_a_mean_of_m_can_be(m):
    found = {Fraction(a, b) for b in range(1, m + 1) for a in range(1, b + 1)}
    assert set(farey(m)) == found and farey(m) == sorted(found)
    assert knots_of(m)[0] == Fraction(1, 2 * m)


@pytest.mark.parametrize("m", [1, 3, 8, 20])
def test_it_is_the_logarithm_at_every_fraction(m):
    for one in farey(m):
        y = np.zeros(D)
        y[0] = float(one)
        got = logits_of(y, m, "float64")
        assert abs(got[0] - math.log(one)) <= 1e-13 * (1 + abs(math.log(one)))
        np.testing.assert_allclose(got[1:], floor(D, "float64"), rtol=1e-13)


def test_another_fraction_is_not_exact():
    # m = 8 allows no 5/9: the chord lies below the logarithm there.
    y = np.array([5 / 9, 0, 0, 0, 0])
    assert math.log(5 / 9) - logits_of(y, 8, "float64")[0] > 1e-4


def test_a_floor_that_is_too_high_is_seen():
    knots = [float(one) for one in knots_of(4)]
    with pytest.raises(AssertionError, match="concave"):
        slopes(knots, [math.log(knots[0]) - 1e-3, *map(math.log, knots)])


@given(st.integers(1, 20), st.lists(st.integers(0, 20), min_size=D, max_size=D), st.integers(0, 9))
@settings(max_examples=200)
def test_a_softmax_gives_the_answer_back(m, counts, seed):
    counts = np.array(counts)
    while counts.sum() > m:
        counts[counts.argmax()] -= 1
    if not counts.sum():
        counts[0] = 1
    p = counts / counts.sum()
    rng = np.random.default_rng(seed)
    for error in (0.0, 1e-7, 1e-5):
        y = p + rng.uniform(-error, error, D)
        got = softmax(logits_of(y, m).astype(float))
        # Stored as float32, the answer is off by half an ulp more.
        assert np.abs(got - p).max() <= probability_error(m, D, "float32", error + 2.0**-25)


def test_the_bound_tells_something():
    assert probability_error(8, 48, "float32", 2.0**-25) < 2e-5
    steep, first = steepest(8, 48, "float32")
    assert steep == pytest.approx(16 * math.log(2)) and first > steep
