"""Lemma 3: the answer token holds the mean of the outputs at the tokens with ok = 1."""

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
    tokens,
    trace,
)
from tests.theorem2.cases import CASES, RANDOM

FEW = settings(max_examples=15)


@FEW
@given(CASES)
def test_lemma(case):
    assert_lemma(case, "superpose")


@FEW
@given(CASES)
def test_gaps(case):
    assert (trace(case).gaps["superpose"] >= required_gap(case, "superpose")).all()


@FEW
@given(CASES)
def test_the_answer_is_the_mean_of_the_tokens_that_count(case):
    seen = trace(case)
    y, ok = (seen.read("recognize", name).astype(float) for name in ("y", "ok"))
    counted = y[ok[:, 0] == 1]
    mean = counted.mean(0) if len(counted) else np.zeros(case.spec.d)
    assert np.abs(seen.answer.vector - mean).max() <= bound(case, "superpose", "output")
    assert (seen.read("superpose", "y")[-1] == seen.answer.vector).all()


@FEW
@given(CASES)
def test_only_the_answer_token_changes(case):
    seen = trace(case)
    assert (seen.streams["superpose"][:-1] == seen.streams["recognize"][:-1]).all()


def test_winners_weigh_the_same_where_ok_is_exact():
    seen = RANDOM.model.trace(RANDOM.prompts[-1])
    weights = seen.attention["superpose"][0, -1]
    ok = seen.read("recognize", "ok")[:, 0] == 1
    assert len(set(weights[ok])) == 1 and not weights[~ok].any()
    assert not tokens(RANDOM, weights[:, None])[-1].any(), "the query's own tokens"


def test_the_leak_falls_as_exp_minus_T():
    # Here BOS's own weight; winners that differ in ok cost a factor T, see test_bounds.
    assert leak_rate(2, "superpose", "y") == pytest.approx(-1, abs=0.1)


@pytest.mark.parametrize(("matrix", "factor"), [("W_V", 1.001), ("W_K", 0.5)], ids=["value", "gap"])
def test_wrong_weights_are_rejected(matrix, factor):
    lemma = assert_rejected(
        RANDOM, "superpose", corrupt(RANDOM, "superpose", matrix, scale(factor))
    )
    assert (lemma.least_gap < lemma.required_gap) == (matrix == "W_K")
