"""Lemma 3: the answer token holds half of c_1 times the sum of all outputs."""

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
    trace,
    turn,
)
from tests.theorem3.cases import CASES, RANDOM

FEW = settings(max_examples=15)


@FEW
@given(CASES)
def test_lemma(case):
    assert_lemma(case, "balance")


@FEW
@given(CASES)
def test_gaps(case):
    assert (trace(case).gaps["balance"] >= required_gap(case, "balance")).all()


@FEW
@given(CASES)
def test_every_output_counts_alike_whatever_the_prevalences(case):
    y = trace(case).read("balance", "y")[-1]
    outputs, c = case.verdict(case.prompts[-1]).outputs, case.model.gains.series.c[0]
    assert np.abs(y - c / 2 * outputs.sum(0)).max() <= bound(case, "balance", "y")


@FEW
@given(CASES)
def test_only_the_answer_token_changes(case):
    seen = trace(case)
    assert (seen.streams["balance"][:-1] == seen.streams["tally"][:-1]).all()


def test_every_gate_is_half_open():
    seen = RANDOM.model.trace(RANDOM.prompts[-1])
    weights = seen.attention["balance"][:, -1]
    for task, head in zip(RANDOM.tasks, weights, strict=True):
        assert head[0] == head[-RANDOM.spec.n + task.slot] == 0.5
        assert np.count_nonzero(head) == 2


def test_the_leak_falls_as_exp_minus_2_T():
    # BOS is a winner here, and every loser is 2T behind.
    assert leak_rate(3, "balance", "y") == pytest.approx(-2, abs=0.1)


@pytest.mark.parametrize(
    ("matrix", "change"),
    [("W_O", scale(1.001)), ("W_V", turn), ("W_Q", scale(0.5))],
    ids=["coefficient", "another task's", "gap"],
)
def test_wrong_weights_are_rejected(matrix, change):
    assert_rejected(RANDOM, "balance", corrupt(RANDOM, "balance", matrix, change))


def test_a_wrong_slot_is_rejected():
    rows = term(RANDOM, "balance", "place")

    def change(W_K):
        W_K[:, rows] = 0

    assert_rejected(RANDOM, "balance", corrupt(RANDOM, "balance", "W_K", change))
