"""Lemma 3: the last word of a line has ok = 1 exactly where one task explains the whole answer."""

import numpy as np
import pytest
from hypothesis import given, settings

from tests.layers import assert_lemma, assert_rejected, corrupt, scale, trace
from tests.theorem4.cases import CASES, RANDOM, words_of

FEW = settings(max_examples=15)


@FEW
@given(CASES)
def test_lemma(case):
    assert_lemma(case, "commit")


@FEW
@given(CASES)
def test_ok_is_1_where_one_task_explains_and_nowhere_else(case):
    ok = trace(case).read("commit", "ok")
    last = words_of(case, ok)[:, -1, 0]
    explains = case.verdict(case.prompts[-1]).explains.sum(0)
    assert (last == (explains == 1)).all()
    assert ok.sum() == last.sum()


@FEW
@given(CASES)
def test_nothing_but_ok_changes(case):
    seen = trace(case)
    for name in case.model.residual.names:
        if name != "ok":
            assert (seen.read("commit", name) == seen.read("consistency", name)).all()


def later(W_1):
    """Counts up to two tasks as one."""
    W_1[2:] -= W_1[:1] - W_1[1:2]


@pytest.mark.parametrize(
    ("matrix", "change"),
    [("W_1", scale(0.5)), ("W_2", scale(0.5)), ("W_1", later)],
    ids=["counts", "height", "corners"],
)
def test_wrong_weights_are_rejected(matrix, change):
    assert_rejected(RANDOM, "commit", corrupt(RANDOM, "commit", matrix, change))


def test_the_heads_are_idle():
    assert all(bank.idle for bank in RANDOM.model.layer("commit").banks)
    assert np.isinf(trace(RANDOM).gaps["commit"]).all()
