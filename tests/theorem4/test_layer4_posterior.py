"""Lemma 4: every arrow and word but the last holds the posterior and the next word's
distribution."""

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
)
from tests.theorem4.cases import CASES, RANDOM, words_of

FEW = settings(max_examples=15)


@FEW
@given(CASES)
def test_lemma(case):
    assert_lemma(case, "posterior")


@FEW
@given(CASES)
def test_the_last_token_holds_the_law_s_next_word(case):
    seen, verdict = trace(case), case.verdict(case.prompts[-1])
    for name, due in (("omega", verdict.prevalence), ("y", verdict.vector)):
        off = np.abs(seen.read("posterior", name)[-1].astype(float) - due)
        assert off.sum() <= bound(case, "posterior", name)


@FEW
@given(CASES)
def test_the_first_line_has_nothing_to_go_by(case):
    seen = trace(case)
    for name in ("omega", "y"):
        assert not words_of(case, seen.read("posterior", name))[0].any()


@FEW
@given(CASES)
def test_the_last_word_of_a_line_predicts_nothing(case):
    assert not words_of(case, trace(case).read("posterior", "y"))[:, -1].any()


@FEW
@given(CASES)
def test_gaps(case):
    assert (trace(case).gaps["posterior"] >= required_gap(case, "posterior")).all()


def test_winners_tie_to_the_last_bit():
    seen = RANDOM.model.trace(RANDOM.prompts[-1])
    weights = seen.attention["posterior"][0, -1]
    ok = seen.read("commit", "ok")[:, 0] == 1
    assert len(set(weights[ok & (weights > 0)])) == 1 and not weights[~ok].any()


@pytest.mark.parametrize("subspace", ["omega", "y"])
def test_the_leak_falls_as_exp_minus_T(subspace):
    assert leak_rate(4, "posterior", subspace) == pytest.approx(-1, abs=0.1)


def another(W_O):
    """Writes each task's posterior where the next task's belongs."""
    W_O[:] = np.roll(W_O, 1, axis=1)


@pytest.mark.parametrize(
    ("matrix", "change"),
    [
        ("W_V", scale(0.99)),
        ("W_K", scale(0.5)),
        ("W_O", another),
        ("W_1", scale(0.9)),
        ("W_2", scale(0.9)),
    ],
    ids=["value", "gap", "another task's", "units", "words"],
)
def test_wrong_weights_are_rejected(matrix, change):
    assert_rejected(RANDOM, "posterior", corrupt(RANDOM, "posterior", matrix, change))
