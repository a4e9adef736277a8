"""Lemma 1: sum slots are filled, and inputs lifted to features."""

import numpy as np
import pytest
from hypothesis import given, settings

from tests.layers import assert_lemma, assert_rejected, corrupt, leak_rate, scale, tokens, trace
from tests.strategies import cases, shapes
from tests.theorem1.cases import FEATURES, SUMS

CASES = settings(max_examples=40)


@CASES
@given(cases(count=1))
def test_lemma(case):
    assert_lemma(case, "lift")


@CASES
@given(cases(shapes(sum_slot=True), count=1))
def test_sum_slot_holds_the_sum(case):
    prompt = case.prompts[-1]
    x = tokens(case, trace(case).read("lift", "x"))
    expected = np.concatenate([prompt.inputs[:, :-1].sum(1), prompt.query[None, :-1].sum(1)])
    assert np.allclose(x[:, -2], expected, rtol=0, atol=case.spec.n**2 * 1e-7)


@CASES
@given(cases(shapes(features=0, sum_slot=False), count=1))
def test_lift_does_nothing_without_features_or_sums(case):
    streams = trace(case).streams
    assert (streams["lift"] == streams["embed"]).all()


@pytest.mark.parametrize(
    ("case", "matrix", "factor"),
    [(SUMS, "W_V", 1.001), (SUMS, "W_K", 0.25), (FEATURES, "W_1", 1.001)],
    ids=["value", "gap", "features"],
)
def test_wrong_weights_are_rejected(case, matrix, factor):
    lemma = assert_rejected(case, "lift", corrupt(case, "lift", matrix, scale(factor)))
    # A gap cut to a quarter still gives the right sum: only the gap tells.
    assert (lemma.least_gap < lemma.required_gap) == (matrix == "W_K")


def test_the_leak_falls_as_exp_minus_T():
    assert leak_rate(1, "lift", "x") == pytest.approx(-1, abs=0.1)
