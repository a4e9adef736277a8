"""Lemma 2: every example input holds its label."""

import pytest
from hypothesis import given, settings

from tests.layers import assert_lemma, assert_rejected, corrupt, leak_rate, scale, tokens, trace
from tests.strategies import cases
from tests.theorem1.cases import RANDOM

CASES = settings(max_examples=40)


@CASES
@given(cases(count=1))
def test_lemma(case):
    assert_lemma(case, "pair")


@CASES
@given(cases(count=1))
def test_labels_are_copied_to_the_last_bit(case):
    labels = case.prompts[-1].labels.astype(case.spec.dtype)
    y = tokens(case, trace(case).read("pair", "y"))
    assert (y[:-1] == labels[:, None]).all()
    assert not y[-1].any()


@pytest.mark.parametrize(
    ("matrix", "factor"), [("W_V", 1.001), ("W_Q", 0.25)], ids=["value", "gap"]
)
def test_wrong_weights_are_rejected(matrix, factor):
    lemma = assert_rejected(RANDOM, "pair", corrupt(RANDOM, "pair", matrix, scale(factor)))
    assert (lemma.least_gap < lemma.required_gap) == (matrix == "W_Q")


def test_the_leak_falls_as_exp_minus_T():
    assert leak_rate(1, "pair", "y") == pytest.approx(-1, abs=0.1)
