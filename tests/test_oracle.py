"""The oracle on cases small enough to compute by hand."""

import numpy as np
import pytest

from construct import FeatureMap, Prompt, Task
from verify.oracle import features_of, fill, judge

DOUBLE, NEGATE = Task(slot=0, weight=[[2.0]]), Task(slot=1, weight=[[-1.0]], bias=[1.0])


def prompt(labels):
    """Inputs (1, 3) in every example: DOUBLE says 2, NEGATE says -2. The query (5, 7): 10
    and -6."""
    return Prompt(
        inputs=np.tile([[[1.0], [3.0]]], (len(labels), 1, 1)),
        labels=np.array(labels)[:, None],
        query=[[5.0], [7.0]],
    )


def test_prevalence_abstention_and_sum():
    verdict = judge([DOUBLE, NEGATE], prompt([2.0, 2.1, -2.0, 9.0]), tolerance=0.25, margin=1.0)
    assert verdict.residuals.round(12).tolist() == [[0, 0.1, 4, 7], [4, 4.1, 0, 11]]
    assert verdict.explains.tolist() == [[True, True, False, False], [False, False, True, False]]
    assert verdict.recognized.tolist() == [0, 0, 1, -1]
    assert verdict.counts.tolist() == [2, 1]
    assert verdict.outputs.tolist() == [[10], [-6]]
    assert verdict.vector == pytest.approx([(2 * 10 - 6) / 3])
    assert verdict.prevalence == pytest.approx([2 / 3, 1 / 3])


def test_two_explanations_are_none():
    verdict = judge(
        [DOUBLE, Task(slot=0, weight=[[1.0]], bias=[1.0])],
        prompt([2.0]),
        tolerance=0.25,
        margin=1.0,
    )
    assert verdict.explains.all()
    assert verdict.recognized.tolist() == [-1]
    assert verdict.vector.tolist() == [0]
    assert verdict.prevalence.tolist() == [0, 0]


def test_a_residual_on_either_boundary_is_decided():
    verdict = judge([DOUBLE], prompt([2.25, 3.0]), tolerance=0.25, margin=1.0)
    assert verdict.explains.tolist() == [[True, False]]


def test_between_tolerance_and_margin_is_refused():
    with pytest.raises(
        ValueError, match=r"example 1 is 0\.5 from task 0: between tolerance and margin"
    ):
        judge([DOUBLE], prompt([2.0, 2.5]), tolerance=0.25, margin=1.0)


def test_sums_and_features():
    assert fill(np.array([[[1.0], [2.0], [0.0]]]), True).tolist() == [[[1], [2], [3]]]
    assert fill(np.array([[1.0], [0.0]]), False).tolist() == [[1], [0]]
    feature_map = FeatureMap(weight=[[1.0], [-1.0]], bias=[-1.0, 0.5])
    assert features_of(feature_map, np.array([[3.0], [-2.0]])).tolist() == [[2, 0], [0, 2.5]]
    assert features_of(None, np.array([[3.0]])).tolist() == [[3]]
