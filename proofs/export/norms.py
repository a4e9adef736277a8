"""Lemmas E1 and E2 (norms as identities): what a stream h is read as behind a norm, with constants
C beside it.

Lemma E1, in real numbers: h comes back times s, and 0 <= 1 - s <= (copies |h|^2 + eps E)/(2 p C^2).
Lemma E2, in floats: once copies |h|^2 (1 + gamma) < u C^2 and eps E / p <= u C^2, the computed mean
square is p C^2/E to the last bit, a power of four; then h comes back to the last bit.
Lemma E3 says what a change of reads does to a softmax, for norms that are not identities.
"""

import math

import numpy as np

from construct.export.norms import EPS, Frame
from construct.floats import gamma, unit_roundoff


def change(frame: Frame, norm: float) -> float:
    """Lemma E1: a bound on 1 - s for streams no longer than `norm`; 0 without a norm.

    Why: the mean square is p C^2/E (1 + x) with x = (copies |h|^2 + eps E)/(p C^2) >= 0, the norm's
    weight undoes the root of the first factor, and 1 - (1 + x)^(-1/2) <= x/2.
    """
    if frame.kind == "none":
        return 0.0
    squares = frame.copies * norm**2 + EPS[frame.kind] * frame.width
    return squares / (2 * frame.pads * frame.C**2)


def exact(frame: Frame, norm: float, dtype: str) -> bool:
    """Lemma E2: whether the computed norm is the identity to the last bit, for streams no longer
    than `norm`.

    Why: a partial sum that holds j >= 1 squares of constants is at least j C^2, where floats are
    2 u C^2 apart or more; what the squares of h add to it, in whatever order, is less than half of
    that and is rounded off. Sums of constants' squares are whole multiples of C^2, a power of four,
    and p is small: they are exact. So are p C^2/E, its root, and products with powers of two.
    """
    if frame.kind == "none":
        return True
    u, square = unit_roundoff(dtype), frame.C**2
    swallowed = frame.copies * norm**2 * (1 + gamma(frame.width + 2, dtype)) < u * square
    largest = float(np.finfo(dtype).max)
    return (
        swallowed
        and EPS[frame.kind] * frame.width / frame.pads <= u * square
        and frame.pads * square <= largest
        and math.log2(frame.C).is_integer()
        and frame.width == frame.pads * frame.share**2
    )


def softmax_change(change: float, largest: float) -> float:
    """Lemma E3: by how much a head's weights change, summed over the keys, if every read comes back
    times a factor in [1 - change, 1] and no score is larger than `largest`.

    Why: a score is a product of two reads, and moves by 2 change largest at most; so each weight
    changes by a factor within exp(+-4 change largest).
    """
    return math.expm1(4 * change * largest)
