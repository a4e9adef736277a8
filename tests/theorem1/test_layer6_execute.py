"""Lemma 6: a label committed to task i holds g_i(X_query) in y."""

import numpy as np
import pytest
from hypothesis import given, settings

from proofs import theorem1 as proof
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
)
from tests.strategies import cases
from tests.theorem1.cases import RANDOM
from verify.oracle import ABSTAINED

CASES = settings(max_examples=40)


@CASES
@given(cases(count=1))
def test_lemma(case):
    assert_lemma(case, "execute")


@CASES
@given(cases(count=1))
def test_labels_give_way_to_outputs(case):
    verdict, seen = case.verdict(case.prompts[-1]), trace(case)
    y = tokens(case, seen.read("execute", "y"))[:-1, -1]
    committed = verdict.recognized != ABSTAINED
    bound = proof.errors(proof.setting(case.spec))[5].y
    assert (
        np.abs(y[committed] - verdict.outputs[verdict.recognized[committed]]).max(initial=0)
        <= bound
    )
    assert (y[~committed] == tokens(case, seen.read("fetch", "y"))[:-1, -1][~committed]).all()


@CASES
@given(cases(count=1))
def test_gaps(case):
    assert (trace(case).gaps["execute"] >= required_gap(case, "execute")).all()


def test_a_wrong_output_is_rejected():
    lemma = assert_rejected(RANDOM, "execute", corrupt(RANDOM, "execute", "W_V", scale(1.001)))
    assert lemma.subspace == "y"


def test_a_low_threshold_is_rejected():
    rows = term(RANDOM, "execute", "threshold")

    def change(W_Q):
        W_Q[:, rows] *= 0.5

    lemma = assert_rejected(RANDOM, "execute", corrupt(RANDOM, "execute", "W_Q", change))
    assert lemma.least_gap < lemma.required_gap


def test_the_leak_falls_as_exp_minus_T():
    assert leak_rate(1, "execute", "y") == pytest.approx(-1, abs=0.1)
