"""Lemma 1: a label holds the tasks that explain its example, their number, and whether it is
one."""

import numpy as np
import pytest
from hypothesis import given, settings

from tests.layers import (
    assert_lemma,
    assert_rejected,
    corrupt,
    leak_rate,
    required_gap,
    scale,
    term,
    tokens,
    trace,
    turn,
)
from tests.theorem3.cases import CASES, RANDOM

FEW = settings(max_examples=15)


@FEW
@given(CASES)
def test_lemma(case):
    assert_lemma(case, "recognize")


@FEW
@given(CASES)
def test_labels_name_and_count_the_tasks_that_explain_them(case):
    explains, seen = case.verdict(case.prompts[-1]).explains, trace(case)
    w, count, ok = (
        tokens(case, seen.read("recognize", name))[:-1, -1] for name in ("w", "count", "ok")
    )
    assert (w == explains.T).all()
    assert (count[:, 0] == explains.sum(0)).all()
    assert (ok[:, 0] == (explains.sum(0) == 1)).all()


@FEW
@given(CASES)
def test_only_labels_change(case):
    seen = trace(case)
    before, after = (tokens(case, seen.streams[name]) for name in ("embed", "recognize"))
    assert (after[:, :-1] == before[:, :-1]).all() and (after[-1] == before[-1]).all()


@FEW
@given(CASES)
def test_every_head_decides_every_token(case):
    assert (trace(case).gaps["recognize"] >= required_gap(case, "recognize")).all()


@pytest.mark.parametrize("subspace", ["w", "count"])
def test_the_leak_falls_as_exp_minus_T(subspace):
    assert leak_rate(3, "recognize", subspace) == pytest.approx(-1, abs=0.1)


@pytest.mark.parametrize(
    ("matrix", "change"),
    [("W_O", turn), ("W_V", scale(0.99)), ("W_Q", scale(0.5)), ("W_2", scale(0.5))],
    ids=["another task's", "value", "gap", "trapezoid"],
)
def test_wrong_weights_are_rejected(matrix, change):
    assert_rejected(RANDOM, "recognize", corrupt(RANDOM, "recognize", matrix, change))


def test_a_wrong_example_is_rejected():
    rows = term(RANDOM, "recognize", "example")

    def change(W_Q):
        W_Q[:, rows] = 0

    assert_rejected(RANDOM, "recognize", corrupt(RANDOM, "recognize", "W_Q", change))


def test_a_cut_gap_is_refused_by_the_model_itself():
    with pytest.raises(ValueError, match=r"example \d+, task \d = .*must be at most tolerance"):
        corrupt(RANDOM, "recognize", "W_Q", scale(0.25))(RANDOM.prompts[-1])


def test_examples_of_two_explanations_are_among_the_cases():
    explaining = RANDOM.verdict(RANDOM.prompts[-1]).explains.sum(0)
    assert np.unique(np.minimum(explaining, 2)).tolist() == [0, 1, 2]
