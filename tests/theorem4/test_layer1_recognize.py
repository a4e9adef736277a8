"""Lemma 1: an arrow and every word hold their line's inputs, a word the tasks that say it."""

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
    trace,
    turn,
)
from tests.theorem4.cases import CASES, RANDOM, said_by, words_of

FEW = settings(max_examples=15)


@FEW
@given(CASES)
def test_lemma(case):
    assert_lemma(case, "recognize")


@FEW
@given(CASES)
def test_words_name_the_tasks_that_say_them(case):
    w = words_of(case, trace(case).read("recognize", "w"))
    assert (w[:, 1:] == said_by(case)).all() and not w[:, 0].any()


@FEW
@given(CASES)
def test_arrows_and_words_hold_the_inputs_that_tasks_read(case):
    own = words_of(case, trace(case).read("recognize", "own"))
    slots, d = {task.slot for task in case.tasks}, case.spec.d
    for line, inputs in zip(own, case.prompts[-1].inputs, strict=True):
        for slot, word in enumerate(inputs):
            due = (np.arange(d) == word) * (slot in slots)
            assert (line[:, slot * d : (slot + 1) * d] == due).all()


@FEW
@given(CASES)
def test_gaps(case):
    assert (trace(case).gaps["recognize"] >= required_gap(case, "recognize")).all()


@FEW
@given(CASES)
def test_inputs_do_not_change(case):
    seen = trace(case)
    inputs = seen.read("embed", "inp")[:, 0] == 1
    assert (seen.streams["recognize"][inputs] == seen.streams["embed"][inputs]).all()


def test_the_leak_falls_as_exp_minus_T():
    assert leak_rate(4, "recognize", "own") == pytest.approx(-1, abs=0.1)


@pytest.mark.parametrize(
    ("matrix", "change"),
    [
        ("W_O", turn),
        ("W_V", scale(0.99)),
        ("W_Q", scale(0.5)),
        ("W_1", scale(0.5)),
        ("W_2", scale(0.9)),
    ],
    ids=["another slot's", "value", "gap", "units", "slope"],
)
def test_wrong_weights_are_rejected(matrix, change):
    assert_rejected(RANDOM, "recognize", corrupt(RANDOM, "recognize", matrix, change))


def test_a_wrong_line_is_rejected():
    rows = term(RANDOM, "recognize", "example")

    def change(W_Q):
        W_Q[:, rows] = 0

    assert_rejected(RANDOM, "recognize", corrupt(RANDOM, "recognize", "W_Q", change))
