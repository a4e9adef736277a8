"""Lemma 1: every example input holds its label, the query's content in its own slot, and the
features of both."""

import numpy as np
import pytest
from hypothesis import given, settings

from tests.layers import (
    assert_lemma,
    assert_rejected,
    bound,
    corrupt,
    leak_rate,
    scale,
    tokens,
    trace,
)
from tests.theorem2.cases import CASES, FEATURES, RANDOM

FEW = settings(max_examples=15)


@FEW
@given(CASES)
def test_lemma(case):
    assert_lemma(case, "pair")


@FEW
@given(CASES)
def test_labels_and_query_are_copied_to_the_last_bit(case):
    prompt, dtype, seen = case.prompts[-1], case.spec.dtype, trace(case)
    y, q = (tokens(case, seen.read("pair", name)) for name in ("y", "q"))
    # Two winners of weight 1/2 each, doubled: nothing is rounded.
    assert (y[:-1] == prompt.labels.astype(dtype)[:, None]).all()
    assert (q[:-1, :-1] == prompt.query.astype(dtype)).all()
    # Labels, query and answer token carry no second content.
    assert not y[-1].any() and not q[:-1, -1].any() and not q[-1].any()


def test_the_mlp_lifts_both_contents():
    seen = trace(FEATURES)
    f, h = (tokens(FEATURES, seen.read("pair", name)) for name in ("f", "h"))
    verdict = FEATURES.verdict(FEATURES.prompts[-1])
    assert np.abs(f[:-1, :-1] - verdict.features).max() <= bound(FEATURES, "pair", "f")
    assert np.abs(h[:-1, :-1] - verdict.query_features).max() <= bound(FEATURES, "pair", "h")
    assert not h[-1].any(), "a query token carries no query"


@pytest.mark.parametrize("subspace", ["y", "q"])
def test_the_leak_falls_as_exp_minus_T(subspace):
    assert leak_rate(2, "pair", subspace) == pytest.approx(-1, abs=0.1)


@pytest.mark.parametrize(
    ("case", "matrix", "factor"),
    [(RANDOM, "W_V", 1.001), (RANDOM, "W_Q", 0.5), (FEATURES, "W_1", 1.001)],
    ids=["value", "gap", "features"],
)
def test_wrong_weights_are_rejected(case, matrix, factor):
    lemma = assert_rejected(case, "pair", corrupt(case, "pair", matrix, scale(factor)))
    # A gap cut in half still copies the right vectors: only the gap tells.
    assert (lemma.least_gap < lemma.required_gap) == (matrix == "W_Q")
