"""Lemma 4 on vectors: the posterior over tasks, and the mean of their next vectors."""

import numpy as np
import pytest
from hypothesis import given, settings

from tests.layers import assert_lemma, assert_rejected, bound, corrupt, required_gap, scale, trace
from tests.theorem4.vectors.cases import CASES, RANDOM

FEW = settings(max_examples=10)


@FEW
@given(CASES)
def test_lemma(case):
    assert_lemma(case, "posterior")


@FEW
@given(CASES)
def test_the_last_token_holds_the_posterior_and_the_mean(case):
    prompt, seen = case.prompts[-1], trace(case)
    verdict = case.verdict(prompt)
    omega, y = (seen.read("posterior", name)[-1].astype(float) for name in ("omega", "y"))
    assert np.abs(omega - verdict.prevalence).sum() <= bound(case, "posterior", "omega")
    assert np.linalg.norm(y - verdict.vector) <= bound(case, "posterior", "output")


@FEW
@given(CASES)
def test_gaps(case):
    assert (trace(case).gaps["posterior"] >= required_gap(case, "posterior")).all()


@pytest.mark.parametrize(
    ("matrix", "change"),
    [
        ("W_O", scale(0.99)),
        ("W_V", scale(0.99)),
        ("W_Q", scale(0.5)),
        ("W_1", scale(0.9)),
        ("W_2", scale(0.9)),
        ("W_3", scale(0.9)),
    ],
    ids=["written", "value", "gap", "gates", "weight", "matrices"],
)
def test_wrong_weights_are_rejected(matrix, change):
    assert_rejected(RANDOM, "posterior", corrupt(RANDOM, "posterior", matrix, change))
