"""Lemma E4 (logarithms): the logits of an answer, and the probabilities that a softmax makes of
them.

At a fraction a/b with b <= m the block's function is log(a/b) exactly; an answer that is off by
`error` is off in its logit by at most its slope there times that. Words of probability 0 share one
unit roundoff.
"""

import math

import numpy as np

from construct.export.logits import farey, floor, knots_of, slopes
from construct.floats import gamma, unit_roundoff


def steepest(m: int, words: int, dtype: str) -> tuple[float, float]:
    """The largest slope of the function at or below a reachable fraction, and that near 0."""
    knots = knots_of(m)
    values = [floor(words, dtype), *(math.log(knot) for knot in knots)]
    slope = np.cumsum(slopes([float(knot) for knot in knots], values)[::-1])[::-1]
    return float(slope[1]), float(slope[0])


def probability_error(m: int, words: int, dtype: str, error: float) -> float:
    """Lemma E4: how far a probability that the softmax gives can be from the fraction that it
    stands for, if the answer is off by at most `error` in every coordinate.

    Why: all terms c_j k_j - c_j y of the block's sum have one sign, so that it rounds by gamma of
    its length times what they come to: at a fraction y, where the slope is at most 1/y, at most
    log m + 1, and at 0 the floor. If logits move by delta, probabilities change by a factor within
    exp(+-2 delta); the words of probability 0 share u exp(delta_0 + delta).
    """
    steep, first = steepest(m, words, dtype)
    length = len(farey(m)) + 5
    delta = steep * error + gamma(length, dtype) * (math.log(m) + 1)
    zero = first * error + gamma(length, dtype) * abs(floor(words, dtype))
    rest = unit_roundoff(dtype) * math.exp(zero + delta)
    return math.expm1(2 * delta) + rest + gamma(words + 4, dtype)
