"""Lemma 3 on vectors: which tasks say all of a line so far, and whether one alone explains it."""

import numpy as np
import pytest
from hypothesis import given, settings

from construct.theorem4.vectors.gains import middle, narrow
from tests.layers import (
    assert_lemma,
    assert_rejected,
    corrupt,
    required_gap,
    scale,
    term,
    trace,
    turn,
)
from tests.theorem4.vectors.cases import CASES, RANDOM, vectors_of

FEW = settings(max_examples=10)


@FEW
@given(CASES)
def test_lemma(case):
    assert_lemma(case, "commit")


@FEW
@given(CASES)
def test_c_is_exactly_the_tasks_that_say_all_so_far(case):
    c = vectors_of(case, trace(case).read("commit", "c"))
    agrees = case.verdict(case.prompts[-1]).agrees  # (K, m', L)
    assert (c[:, 1:] == np.moveaxis(agrees, 0, -1)).all() and (c[:, 0] == 1).all()


@FEW
@given(CASES)
def test_ok_is_1_where_one_task_explains_and_nowhere_else(case):
    ok = trace(case).read("commit", "ok")
    last = vectors_of(case, ok)[:, -1, 0]
    explains = case.verdict(case.prompts[-1]).explains.sum(0)
    assert (last == (explains == 1)).all() and ok.sum() == last.sum()


@FEW
@given(CASES)
def test_gaps(case):
    assert (trace(case).gaps["commit"] >= required_gap(case, "commit")).all()


@FEW
@given(CASES)
def test_the_threshold_is_between_what_rho_and_delta_leave(case):
    """By as much as the gains are charged for, at every place, with norms as far off as they may
    be."""
    spec = case.spec
    off = (spec.margin**2 - spec.tolerance**2) / (16 * spec.L)
    for t in range(1, spec.L + 1):
        theta = 1 - middle(spec) / (t + 1)
        least = 1 - (spec.tolerance**2 / 2 + t * off) / (t + 1)
        most = 1 - (spec.margin**2 / 2 - t * off) / (t + 1)
        assert min(least - theta, theta - most) >= narrow(spec) * (1 - 1e-12)


def later(W_1):
    """Counts up to two tasks as one."""
    W_1[-2:] -= W_1[-4:-3] - W_1[-3:-2]


@pytest.mark.parametrize(
    ("matrix", "change"),
    [("W_O", turn), ("W_Q", scale(0.5)), ("W_1", scale(0.5)), ("W_2", scale(0.5)), ("W_1", later)],
    ids=["another task's", "gap", "counts", "height", "corners"],
)
def test_wrong_weights_are_rejected(matrix, change):
    assert_rejected(RANDOM, "commit", corrupt(RANDOM, "commit", matrix, change))


@pytest.mark.parametrize("by", [0.98, 1.02])
def test_a_threshold_that_is_off_is_rejected(by):
    rows = term(RANDOM, "commit", "threshold")

    def change(W_Q):
        one = RANDOM.model.residual.where("one")
        W_Q[:, rows, one] *= by

    assert_rejected(RANDOM, "commit", corrupt(RANDOM, "commit", "W_Q", change))
