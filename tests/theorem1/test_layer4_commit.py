"""Lemma 4: ok is exactly 1 at labels that one task explains, and exactly 0 at all others."""

import numpy as np
import pytest
from hypothesis import given, settings

from tests.layers import assert_lemma, assert_rejected, corrupt, leak_rate, scale, tokens, trace
from tests.strategies import Case, Shape, cases
from tests.theorem1.cases import RANDOM
from verify.oracle import ABSTAINED

CASES = settings(max_examples=40)


@CASES
@given(cases(count=1))
def test_lemma(case):
    assert_lemma(case, "commit")


@CASES
@given(cases(count=1))
def test_committed_labels_tie_to_the_last_bit(case):
    recognized = case.verdict(case.prompts[-1]).recognized
    ok = tokens(case, trace(case).read("commit", "ok"))[:-1, -1, 0]
    assert (ok[recognized != ABSTAINED] == 1.0).all()
    assert (ok[recognized == ABSTAINED] < 0.5).all()


def test_an_agreement_of_11_and_more_is_not_committed():
    cases = [Case("signs", Shape(24, 5, 3, 2), seed, (3,)) for seed in range(20)]
    explaining = np.concatenate([case.verdict(case.prompts[-1]).explains.sum(0) for case in cases])
    ok = np.concatenate(
        [tokens(case, trace(case).read("commit", "ok"))[:-1, -1, 0] for case in cases]
    )
    assert explaining.max() >= 11
    assert (np.abs(ok[explaining != 1]) <= 1e-4).all()


@pytest.mark.parametrize(
    ("matrix", "factor"),
    [("W_V", 1.01), ("W_Q", 0.25), ("W_2", 0.5)],
    ids=["value", "gap", "trapezoid"],
)
def test_wrong_weights_are_rejected(matrix, factor):
    lemma = assert_rejected(RANDOM, "commit", corrupt(RANDOM, "commit", matrix, scale(factor)))
    assert (lemma.least_gap < lemma.required_gap) == (matrix == "W_Q")


def test_the_leak_falls_as_exp_minus_T():
    assert leak_rate(1, "commit", "count") == pytest.approx(-1, abs=0.1)
