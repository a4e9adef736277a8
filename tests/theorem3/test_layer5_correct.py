"""Lemma 5: the answer token holds the superposition."""

import numpy as np
import pytest
from hypothesis import given, settings

from tests.layers import (
    assert_lemma,
    assert_rejected,
    bound,
    corrupt,
    leak_rate,
    required_gap,
    scale,
    trace,
    turn,
)
from tests.theorem3.cases import CASES, RANDOM

FEW = settings(max_examples=15)


@FEW
@given(CASES)
def test_lemma(case):
    assert_lemma(case, "correct")


@FEW
@given(CASES)
def test_gaps(case):
    assert (trace(case).gaps["correct"] >= required_gap(case, "correct")).all()


@FEW
@given(CASES)
def test_the_three_gates_add_up_to_the_prevalences(case):
    seen, verdict = trace(case), case.verdict(case.prompts[-1])
    assert np.abs(seen.answer.vector - verdict.vector).max() <= bound(case, "correct", "output")
    assert (seen.read("correct", "y")[-1] == seen.answer.vector).all()


@FEW
@given(CASES)
def test_only_the_answer_token_changes(case):
    seen = trace(case)
    assert (seen.streams["correct"][:-1] == seen.streams["open"][:-1]).all()


def test_the_leak_falls_as_exp_minus_T():
    # The error of w, which the gates read.
    assert leak_rate(3, "correct", "y") == pytest.approx(-1, abs=0.1)


@pytest.mark.parametrize(
    ("matrix", "change"),
    [("W_O", scale(1.001)), ("W_Q", scale(0.9)), ("W_V", turn)],
    ids=["coefficient", "gate", "another task's"],
)
def test_wrong_weights_are_rejected(matrix, change):
    assert_rejected(RANDOM, "correct", corrupt(RANDOM, "correct", matrix, change))
