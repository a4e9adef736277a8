"""Lemma 2: the answer token holds the prevalence of each task, the task vector."""

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
    tokens,
    trace,
)
from tests.theorem3.cases import CASES, RANDOM
from verify.oracle import ABSTAINED

FEW = settings(max_examples=15)


@FEW
@given(CASES)
def test_lemma(case):
    assert_lemma(case, "tally")


@FEW
@given(CASES)
def test_gaps(case):
    assert (trace(case).gaps["tally"] >= required_gap(case, "tally")).all()


@FEW
@given(CASES)
def test_the_answer_token_holds_the_prevalences(case):
    prevalence = case.verdict(case.prompts[-1]).prevalence
    off = np.abs(trace(case).task_vector - prevalence)
    assert off.sum() <= bound(case, "tally", "w")


@FEW
@given(CASES)
def test_only_the_answer_token_changes(case):
    seen = trace(case)
    assert (seen.streams["tally"][:-1] == seen.streams["recognize"][:-1]).all()


def test_winners_tie_to_the_last_bit():
    seen = RANDOM.model.trace(RANDOM.prompts[-1])
    committed = RANDOM.verdict(RANDOM.prompts[-1]).recognized != ABSTAINED
    weights = seen.attention["tally"][0, -1]
    labels = tokens(RANDOM, weights[:, None])[:-1, -1, 0]
    assert len(set(labels[committed])) == 1 and not labels[~committed].any()
    assert weights[0] == 0, "BOS"


def test_the_leak_falls_as_exp_minus_T():
    assert leak_rate(3, "tally", "w") == pytest.approx(-1, abs=0.1)


def another(W_O):
    """Writes each task's prevalence where the next task's belongs."""
    W_O[:] = np.roll(W_O, 1, axis=1)


@pytest.mark.parametrize(
    ("matrix", "change"),
    [("W_V", scale(0.99)), ("W_K", scale(0.5)), ("W_O", another)],
    ids=["value", "gap", "another task's"],
)
def test_wrong_weights_are_rejected(matrix, change):
    lemma = assert_rejected(RANDOM, "tally", corrupt(RANDOM, "tally", matrix, change))
    assert (lemma.least_gap < lemma.required_gap) == (matrix == "W_K")
