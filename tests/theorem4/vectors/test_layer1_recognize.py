"""Lemma 1 on vectors: an arrow and every vector hold their line's inputs, a vector its agreement
with every task."""

import numpy as np
import pytest
from hypothesis import given, settings

from tests.layers import (
    assert_lemma,
    assert_rejected,
    bound,
    corrupt,
    required_gap,
    scale,
    trace,
    turn,
)
from tests.theorem4.vectors.cases import CASES, RANDOM, SOFT, vectors_of

FEW = settings(max_examples=10)


@FEW
@given(CASES)
def test_lemma(case):
    assert_lemma(case, "recognize")


@FEW
@given(CASES)
def test_agreement_tells_how_far_a_vector_is_from_a_task_s(case):
    prompt = case.prompts[-1]
    w = vectors_of(case, trace(case).read("recognize", "w").astype(float))
    for i, task in enumerate(case.tasks):
        own = np.einsum("lab,mb->mla", task.matrices, prompt.inputs[:, task.slot])
        apart = ((prompt.answers - own) ** 2).sum(-1)
        # Both have norm 1, up to the rounding of float64.
        off = np.abs(w[:, 1:, i] - (1 - apart / 2)).max()
        assert off <= bound(case, "recognize", "w") + 1e-14


@FEW
@given(CASES)
def test_gaps(case):
    assert (trace(case).gaps["recognize"] >= required_gap(case, "recognize")).all()


def test_a_soft_vector_agrees_with_nobody():
    w, soft = (trace(SOFT).read("recognize", name) for name in ("w", "soft"))
    assert soft.sum() == 2 and not w[soft[:, 0] == 1].any()


@pytest.mark.parametrize(
    ("matrix", "change"),
    [
        ("W_O", turn),
        ("W_V", scale(0.99)),
        ("W_Q", scale(0.5)),
        ("W_1", scale(0.9)),
        ("W_2", scale(0.9)),
        ("W_3", scale(0.9)),
        ("W_3", turn),
    ],
    ids=["another slot's", "value", "gap", "gates", "weight", "matrices", "another unit's"],
)
def test_wrong_weights_are_rejected(matrix, change):
    assert_rejected(RANDOM, "recognize", corrupt(RANDOM, "recognize", matrix, change))
