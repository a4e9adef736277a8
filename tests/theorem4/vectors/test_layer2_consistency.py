"""Lemma 2 on vectors: an arrow and every vector hold the mean agreement over their line so far."""

import numpy as np
import pytest
from hypothesis import given, settings

from construct.vectors import norm_tolerance
from tests.layers import assert_lemma, assert_rejected, bound, corrupt, required_gap, scale, trace
from tests.theorem4.vectors.cases import CASES, RANDOM, SOFT, vectors_of

FEW = settings(max_examples=10)


@FEW
@given(CASES)
def test_lemma(case):
    assert_lemma(case, "consistency")


@FEW
@given(CASES)
def test_the_mean_is_1_less_half_the_squared_residual_over_all_that_is_said(case):
    prompt, L = case.prompts[-1], case.spec.L
    g = vectors_of(case, trace(case).read("consistency", "g").astype(float))
    for i, task in enumerate(case.tasks):
        own = np.einsum("lab,mb->mla", task.matrices, prompt.inputs[:, task.slot])
        squares = np.cumsum(((prompt.answers - own) ** 2).sum(-1), axis=1)
        off = np.abs(g[:, 1:, i] - (1 - squares / (2 * np.arange(2, L + 2)))).max()
        assert off <= bound(case, "consistency", "g") + norm_tolerance(case.spec)
    assert np.abs(g[:, 0] - 1).max() <= bound(case, "consistency", "g")


@FEW
@given(CASES)
def test_gaps(case):
    assert (trace(case).gaps["consistency"] >= required_gap(case, "consistency")).all()


def test_soft_vectors_count_as_said():
    g = trace(SOFT).read("consistency", "g")[-3:]
    np.testing.assert_allclose(g, 1, atol=bound(SOFT, "consistency", "g"))


@pytest.mark.parametrize(
    ("matrix", "change"),
    [("W_O", scale(0.99)), ("W_V", scale(0.99)), ("W_Q", scale(0.5))],
    ids=["written", "value", "gap"],
)
def test_wrong_weights_are_rejected(matrix, change):
    assert_rejected(RANDOM, "consistency", corrupt(RANDOM, "consistency", matrix, change))
