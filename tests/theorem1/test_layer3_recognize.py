"""Lemma 3: a token in slot p counts, and names, the tasks of its slot that explain its example."""

import numpy as np
import pytest
from hypothesis import given, settings

from tests.layers import (
    assert_lemma,
    assert_rejected,
    corrupt,
    leak_rate,
    required_gap,
    term,
    tokens,
    trace,
)
from tests.strategies import cases
from tests.theorem1.cases import RANDOM

CASES = settings(max_examples=40)


@CASES
@given(cases(count=1))
def test_lemma(case):
    assert_lemma(case, "recognize")


@pytest.mark.slow
@CASES
@given(cases(count=1))
def test_counts_are_exact(case):
    explains = case.verdict(case.prompts[-1]).explains
    expected = np.zeros((case.spec.m + 1, case.spec.n))
    for task, explained in zip(case.tasks, explains, strict=True):
        expected[:-1, task.slot] += explained
    assert (tokens(case, trace(case).read("recognize", "count"))[..., 0] == expected).all()


@CASES
@given(cases(count=1))
def test_every_head_decides_every_token(case):
    # Also tokens in slots that a head does not read, and tokens that are no example input: those
    # lose to BOS by T.
    assert (trace(case).gaps["recognize"] >= required_gap(case, "recognize")).all()


def test_a_wrong_code_is_rejected():
    def change(W_V):
        W_V[0, :2] = W_V[1, :2]

    lemma = assert_rejected(RANDOM, "recognize", corrupt(RANDOM, "recognize", "W_V", change))
    assert lemma.subspace == "z"


def test_a_wrong_slot_is_rejected():
    rows = term(RANDOM, "recognize", "elsewhere")

    def change(W_Q):
        W_Q[:, rows] = 0

    assert_rejected(RANDOM, "recognize", corrupt(RANDOM, "recognize", "W_Q", change))


def test_a_cut_gap_is_refused_by_the_model_itself():
    def change(W_Q):
        W_Q *= 0.25

    with pytest.raises(ValueError, match=r"example 0, task 0 = .*must be at most tolerance"):
        corrupt(RANDOM, "recognize", "W_Q", change)(RANDOM.prompts[-1])


def test_the_leak_falls_as_exp_minus_T():
    assert leak_rate(1, "recognize", "z") == pytest.approx(-1, abs=0.1)
