"""Heads are stacked row by row, their terms named, and BOS is a sink."""

import numpy as np
import pytest

from construct.heads import Head, Term, bank, banks, idle
from construct.layers import LayerWeights, Support
from construct.residual import Residual

STREAM = Residual(subspaces=(("y", 2), ("one", 1), ("bos", 1)))


def head(gain, value="y"):
    terms = (
        Term("content", gain * STREAM["y"], STREAM["y"]),
        Term("bos", STREAM["one"], STREAM["bos"]),
    )
    return Head(terms=terms, value=STREAM[value], out=STREAM[value].T)


def test_scores_are_the_sum_of_the_terms():
    stacked = bank([head(1.0), head(3.0)], 2, "float64")
    q, k = np.array([1.0, 2, 1, 0]), np.array([4.0, 5, 1, 1])
    assert stacked.terms == (("content", 2), ("bos", 1))
    assert [(W_Q @ q) @ (W_K @ k) for W_Q, W_K in zip(stacked.W_Q, stacked.W_K, strict=True)] == [
        15,
        43,
    ]


def test_a_layer_is_filled_up_with_idle_heads():
    parts = banks([head(1.0)], 1, 4, STREAM, "float32")
    assert [len(part.W_Q) for part in parts] == [1, 3]
    assert not any(
        matrix.any() for matrix in (parts[1].W_Q, parts[1].W_K, parts[1].W_V, parts[1].W_O)
    )
    assert len(banks([head(1.0)] * 4, 4, 4, STREAM, "float32")) == 1
    assert len(banks([], 0, 4, STREAM, "float32")) == 1
    LayerWeights("pair", parts, Support.EXAMPLE).check(4, STREAM)
    with pytest.raises(AssertionError, match="pair has K heads"):
        LayerWeights("pair", parts, Support.EXAMPLE).check(5, STREAM)


def test_bos_must_be_a_sink():
    bank([head(1.0)], 1, "float32").check(STREAM)
    with pytest.raises(AssertionError, match="BOS is the sink"):
        bank([head(1.0, value="one")], 1, "float32").check(STREAM)


def test_shapes_must_fit_the_stream():
    with pytest.raises(AssertionError, match="same stream"):
        idle(2, STREAM, "float32").check(Residual(subspaces=(("y", 1), ("one", 1), ("bos", 1))))
