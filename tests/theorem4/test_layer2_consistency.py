"""Lemma 2: an arrow and every word hold which tasks say all words of their line so far."""

import numpy as np
import pytest
from hypothesis import given, settings

from tests.layers import (
    assert_lemma,
    assert_rejected,
    corrupt,
    leak_rate,
    required_gap,
    scale,
    trace,
)
from tests.theorem4.cases import CASES, RANDOM, said_by, words_of

FEW = settings(max_examples=15)


@FEW
@given(CASES)
def test_lemma(case):
    assert_lemma(case, "consistency")


@FEW
@given(CASES)
def test_a_task_is_consistent_while_it_says_every_word(case):
    c = words_of(case, trace(case).read("consistency", "c"))
    so_far = np.logical_and.accumulate(said_by(case), axis=1)
    assert (c[:, 1:] == so_far).all() and (c[:, 0] == 1).all()


@FEW
@given(CASES)
def test_consistency_is_exact_also_at_tokens_that_are_no_words(case):
    c = trace(case).read("consistency", "c")
    assert np.isin(c, (0, 1)).all()
    inputs = trace(case).read("embed", "inp")[:, 0] == 1
    assert not c[inputs].any() and not c[0].any()


@FEW
@given(CASES)
def test_gaps(case):
    assert (trace(case).gaps["consistency"] >= required_gap(case, "consistency")).all()


def test_the_leak_falls_as_exp_minus_T():
    assert leak_rate(4, "consistency", "g") == pytest.approx(-1, abs=0.1)


def another(W_O):
    """Writes each task's mean where the next task's belongs."""
    W_O[:] = np.roll(W_O, 1, axis=1)


@pytest.mark.parametrize(
    ("matrix", "change"),
    [
        ("W_V", scale(0.9)),
        ("W_K", scale(0.5)),
        ("W_O", another),
        ("W_1", scale(0.9)),
        ("W_2", scale(1.01)),
    ],
    ids=["value", "gap", "another task's", "corners", "height"],
)
def test_wrong_weights_are_rejected(matrix, change):
    assert_rejected(RANDOM, "consistency", corrupt(RANDOM, "consistency", matrix, change))
