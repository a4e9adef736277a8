"""Lemma 4: the answer token adds each output by its gate."""

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
    trace,
    turn,
)
from tests.theorem3.cases import CASES, RANDOM

FEW = settings(max_examples=15)


@FEW
@given(CASES)
def test_lemma(case):
    assert_lemma(case, "open")


@FEW
@given(CASES)
def test_gaps(case):
    assert (trace(case).gaps["open"] >= required_gap(case, "open")).all()


@FEW
@given(CASES)
def test_outputs_are_added_by_their_gates(case):
    seen, verdict = trace(case), case.verdict(case.prompts[-1])
    gates = case.model.gains.series
    sigma = 1 / (1 + np.exp(-gates.slopes[1] * (verdict.prevalence - 0.5)))
    before, after = (seen.read(name, "y")[-1].astype(float) for name in ("balance", "open"))
    allowed = bound(case, "balance", "y") + bound(case, "open", "y")
    assert np.abs(after - before - gates.c[1] * sigma @ verdict.outputs).max() <= allowed


@FEW
@given(CASES)
def test_only_the_answer_token_changes(case):
    seen = trace(case)
    assert (seen.streams["open"][:-1] == seen.streams["balance"][:-1]).all()


def test_a_gate_opens_with_its_task():
    seen = RANDOM.model.trace(RANDOM.prompts[-1])
    weights = seen.attention["open"][:, -1]
    heads = zip(RANDOM.tasks, weights, strict=True)
    opened = [head[-RANDOM.spec.n + task.slot] for task, head in heads]
    prevalence = RANDOM.verdict(RANDOM.prompts[-1]).prevalence
    assert len(set(prevalence)) == RANDOM.spec.K
    assert (np.argsort(opened) == np.argsort(prevalence)).all()


def test_the_leak_falls_as_exp_minus_T():
    # The error of w, which the gates read.
    assert leak_rate(3, "open", "y") == pytest.approx(-1, abs=0.1)


@pytest.mark.parametrize(
    ("matrix", "change"),
    [("W_Q", scale(0.9)), ("W_K", scale(0.9)), ("W_O", scale(1.001)), ("W_Q", turn)],
    ids=["query", "key", "coefficient", "another task's"],
)
def test_wrong_weights_are_rejected(matrix, change):
    assert_rejected(RANDOM, "open", corrupt(RANDOM, "open", matrix, change))
