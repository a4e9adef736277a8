"""Lemma 7: the answer token holds the mean of the committed labels' outputs."""

import numpy as np
import pytest
from hypothesis import given, settings

from proofs import theorem1 as proof
from tests.layers import (
    assert_lemma,
    assert_rejected,
    corrupt,
    leak_rate,
    required_gap,
    scale,
    tokens,
    trace,
)
from tests.strategies import Case, Shape, cases
from tests.theorem1.cases import RANDOM
from verify.oracle import ABSTAINED

CASES = settings(max_examples=40)


@CASES
@given(cases(count=1))
def test_lemma(case):
    assert_lemma(case, "superpose")


@CASES
@given(cases(count=1))
def test_gaps(case):
    assert (trace(case).gaps["superpose"] >= required_gap(case, "superpose")).all()


@CASES
@given(cases(count=1))
def test_the_answer_is_the_mean_of_the_committed_labels(case):
    seen = trace(case)
    committed = case.verdict(case.prompts[-1]).recognized != ABSTAINED
    outputs = tokens(case, seen.read("execute", "y"))[:-1, -1][committed].astype(float)
    mean = outputs.mean(0) if len(outputs) else np.zeros(case.spec.d)
    assert np.abs(seen.answer.vector - mean).max() <= proof.error_bound(case.spec)
    assert (seen.read("superpose", "y")[-1] == seen.answer.vector).all()


def test_winners_tie_to_the_last_bit():
    case = Case("random", Shape(4, 16, 32, 3), 1, (32,), (3,), (3,))
    seen = case.model.trace(case.prompts[-1])
    committed = case.verdict(case.prompts[-1]).recognized != ABSTAINED
    weights = seen.attention["superpose"][0, -1]
    labels = tokens(case, weights[:, None])[:-1, -1, 0]
    assert len(set(labels[committed])) == 1
    assert not labels[~committed].any()
    assert weights[0] == 0, "BOS"
    assert weights.sum(dtype=float) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("matrix", "factor"), [("W_V", 1.001), ("W_K", 0.25)], ids=["value", "gap"]
)
def test_wrong_weights_are_rejected(matrix, factor):
    lemma = assert_rejected(
        RANDOM, "superpose", corrupt(RANDOM, "superpose", matrix, scale(factor))
    )
    assert (lemma.least_gap < lemma.required_gap) == (matrix == "W_K")


def test_the_leak_falls_as_exp_minus_T():
    assert leak_rate(1, "superpose", "y") == pytest.approx(-1, abs=0.1)
