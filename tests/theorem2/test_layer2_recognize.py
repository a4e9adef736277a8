"""Lemma 2: the input that a task explains holds the task's output on the query, and ok = 1."""

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
    term,
    tokens,
    trace,
    turn,
)
from tests.theorem2.cases import CASES, RANDOM
from verify.oracle import ABSTAINED

FEW = settings(max_examples=15)


@FEW
@given(CASES)
def test_lemma(case):
    assert_lemma(case, "recognize")


@FEW
@given(CASES)
def test_ok_is_1_in_the_tasks_slot_of_its_examples_and_0_elsewhere(case):
    recognized = case.verdict(case.prompts[-1]).recognized
    expected = np.zeros((len(recognized) + 1, case.spec.n))
    for example in np.flatnonzero(recognized != ABSTAINED):
        expected[example, case.tasks[recognized[example]].slot] = 1
    assert (tokens(case, trace(case).read("recognize", "ok"))[..., 0] == expected).all()


@FEW
@given(CASES)
def test_outputs_replace_labels_where_ok_is_1(case):
    verdict, seen = case.verdict(case.prompts[-1]), trace(case)
    before, y = (tokens(case, seen.read(name, "y"))[:-1] for name in ("pair", "recognize"))
    ok = tokens(case, seen.read("recognize", "ok"))[:-1, :, 0] == 1
    outputs = verdict.outputs[verdict.recognized[ok.nonzero()[0]]]
    assert np.abs(y[ok] - outputs).max(initial=0) <= bound(case, "recognize", "output")
    assert (y[~ok] == before[~ok]).all()


@FEW
@given(CASES)
def test_every_head_decides_every_token(case):
    assert (trace(case).gaps["recognize"] >= required_gap(case, "recognize")).all()


@pytest.mark.parametrize("subspace", ["y", "ok"])
def test_the_leak_falls_as_exp_minus_T(subspace):
    assert leak_rate(2, "recognize", subspace) == pytest.approx(-1, abs=0.1)


@pytest.mark.parametrize(
    ("matrix", "change"),
    [("W_V", scale(-1)), ("W_O", scale(1.001)), ("W_V", turn), ("W_K", turn), ("W_Q", scale(0.5))],
    ids=["sign", "value", "another task's value", "another task's key", "gap"],
)
def test_wrong_weights_are_rejected(matrix, change):
    assert_rejected(RANDOM, "recognize", corrupt(RANDOM, "recognize", matrix, change))


def test_a_wrong_slot_is_rejected():
    rows = term(RANDOM, "recognize", "elsewhere")

    def change(W_Q):
        W_Q[:, rows] = 0

    assert_rejected(RANDOM, "recognize", corrupt(RANDOM, "recognize", "W_Q", change))


def test_a_cut_gap_is_refused_by_the_model_itself():
    with pytest.raises(ValueError, match=r"example \d+, task \d = .*must be at most tolerance"):
        corrupt(RANDOM, "recognize", "W_Q", scale(0.25))(RANDOM.prompts[-1])
