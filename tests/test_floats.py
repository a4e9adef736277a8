"""Facts about floating-point formats."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from construct.floats import DTYPES, SHORT_BITS, gamma, hard_gap, short, unit_roundoff

dtypes = pytest.mark.parametrize("dtype", DTYPES)


@dtypes
def test_unit_roundoff(dtype):
    one, u = np.ones((), dtype), np.asarray(unit_roundoff(dtype), dtype)
    assert one + u == one
    assert one + np.nextafter(u, one) > one


@dtypes
def test_hard_gap_is_the_least(dtype):
    smallest = Fraction(float(np.finfo(dtype).smallest_subnormal))
    # exp(-gap) rounds to 0 below half of the smallest subnormal; compared by logarithms, which do
    # not underflow.
    half = math.log(smallest.numerator) - math.log(smallest.denominator) - math.log(2)
    assert -hard_gap(dtype) < half < -(hard_gap(dtype) - 1)
    with np.errstate(under="ignore"):
        assert np.exp(np.asarray(-hard_gap(dtype), dtype)) == 0


@dtypes
@given(k=st.integers(0, 1000))
def test_gamma(dtype, k):
    u = Fraction(unit_roundoff(dtype))
    assert gamma(k, dtype) == pytest.approx(float(k * u / (1 - k * u)), rel=1e-12)
    assert gamma(k, dtype) >= (1 + unit_roundoff(dtype)) ** k - 1 or math.isclose(
        gamma(k, dtype), (1 + unit_roundoff(dtype)) ** k - 1, rel_tol=1e-6
    )


@dtypes
def test_gamma_says_nothing_beyond_its_range(dtype):
    assert gamma(1 / unit_roundoff(dtype), dtype) == math.inf


@given(st.floats(1e-200, 1e200))
def test_short_rounds_up_to_few_bits(value):
    rounded = short(value)
    significand, _ = math.frexp(rounded)
    assert (significand * 2**SHORT_BITS).is_integer()
    assert value <= rounded <= value * (1 + 2 ** (1 - SHORT_BITS))
    assert short(rounded) == rounded


@given(st.integers(0, 255))
def test_small_integers_are_short(number):
    assert short(number) == number
