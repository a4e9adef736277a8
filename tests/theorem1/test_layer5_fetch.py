"""Lemma 5: a label committed to task i holds the query's features from slot p_i."""

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
from verify.oracle import ABSTAINED

CASES = settings(max_examples=40)


@CASES
@given(cases(count=1))
def test_lemma(case):
    assert_lemma(case, "fetch")


@CASES
@given(cases(count=1))
def test_features_are_fetched_to_the_last_bit(case):
    recognized = case.verdict(case.prompts[-1]).recognized
    seen = trace(case)
    f, before = tokens(case, seen.read("fetch", "f")), tokens(case, seen.read("execute", "f"))
    assert (f == before).all()
    for example, task in enumerate(recognized):
        if task == ABSTAINED:
            assert not f[example, -1].any()
        else:
            assert (f[example, -1] == f[-1, case.tasks[task].slot]).all()


@CASES
@given(cases(count=1))
def test_gaps(case):
    assert (trace(case).gaps["fetch"] >= required_gap(case, "fetch")).all()


def test_another_tasks_code_is_rejected():
    rows = term(RANDOM, "fetch", "code")
    slots = [task.slot for task in RANDOM.tasks]
    pair = [slots.index(0), slots.index(1)]

    def change(W_Q):
        W_Q[pair, rows] = W_Q[pair[::-1], rows]

    assert_rejected(RANDOM, "fetch", corrupt(RANDOM, "fetch", "W_Q", change))


def test_a_low_threshold_is_rejected():
    rows = term(RANDOM, "fetch", "threshold")

    def change(W_Q):
        W_Q[:, rows] *= 0.5

    lemma = assert_rejected(RANDOM, "fetch", corrupt(RANDOM, "fetch", "W_Q", change))
    assert lemma.least_gap < lemma.required_gap


def test_the_leak_falls_as_exp_minus_T():
    assert leak_rate(1, "fetch", "f") == pytest.approx(-1, abs=0.1)
