"""Facts about floating-point formats that the gains and the bounds are derived from.

Everything is a formula of the format: unit roundoff, the rounding factor gamma_k, the score gap at
which a softmax weight underflows to exactly zero, and the short significands that keep sums of
gains exact.
"""

import math
from functools import lru_cache

import numpy as np

DTYPES = ("float32", "float64")

# bfloat16, the narrowest format that matrix units multiply in, keeps 8 significant bits: a gain of
# 8 bits times a small integer is exact in every format from there on, and sums of fewer than
# 2^(24-8) of them are exact in float32.
SHORT_BITS = 8


def unit_roundoff(dtype: str) -> float:
    """Largest relative error of one rounding in `dtype` (2^-24 for float32, 2^-53 for float64)."""
    return float(np.finfo(dtype).eps) / 2


def largest(dtype: str) -> float:
    """Largest finite number of `dtype`."""
    return float(np.finfo(dtype).max)


@lru_cache(maxsize=1024)
def gamma(k: float, dtype: str) -> float:
    """Relative error of any product or sum that makes at most `k` roundings: k u / (1 - k u).

    Source: Higham, Accuracy and Stability of Numerical Algorithms, Lemma 3.1. Infinite once k u >=
    1, where it says nothing.
    """
    ku = k * unit_roundoff(dtype)
    return ku / (1 - ku) if ku < 1 else math.inf


def smallest_normal(dtype: str) -> float:
    """Smallest positive number of full precision: a device may flush what is smaller to 0."""
    return float(np.finfo(dtype).smallest_normal)


def underflow(terms: int, norm: float, dtype: str) -> float:
    """What a dot product of so many terms with a vector of that norm can lose to underflow, beside
    its relative rounding.

    Every entry of the stored row, every product and every sum by at most the smallest normal number
    lambda: lambda (sqrt(terms) norm + 2 terms). Ours.
    """
    return smallest_normal(dtype) * (math.sqrt(terms) * norm + 2 * terms)


def hard_gap(dtype: str) -> int:
    """Least whole score gap at which exp(-gap) rounds to exactly 0 in `dtype` (104 for float32, 746
    for float64).

    Half of the smallest subnormal rounds to zero; flushing subnormals to zero only helps.
    """
    smallest = np.finfo(dtype).smallest_subnormal
    return math.ceil(-math.log(float(smallest)) + math.log(2))


def short(value: float) -> float:
    """Round a non-negative gain up to `SHORT_BITS` significant bits: at most 1/128 more, and exact
    in float sums."""
    significand, exponent = math.frexp(value)
    return math.ldexp(math.ceil(math.ldexp(significand, SHORT_BITS)), exponent - SHORT_BITS)
