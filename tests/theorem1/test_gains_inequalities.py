"""The derived gains satisfy, in exact arithmetic, every inequality that the machine-checked theorem
assumes, and its leak is no larger than the bound that this repository states."""

import itertools
import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from construct import Spec
from construct.floats import gamma
from construct.gains import Infeasible
from construct.residual import code_gap, task_codes
from construct.theorem1.gains import Gains, code_rounding, derive, longest_code_sum
from proofs import theorem1 as proof
from verify.balls import working_bits
from verify.theorem1.hypotheses import (
    Hypotheses,
    StoredGains,
    code_tolerance,
    exp_minus,
    sin_pi,
)

# Gains are computed in float64: sums of a few terms, none larger than the gains themselves.
ROUNDING = Fraction(1, 2**48)
GAINS = tuple(StoredGains.__dataclass_fields__)


@st.composite
def specs(draw: st.DrawFn, coldest: float | None = None) -> Spec:
    """Any Spec that is no error by itself; coldest: a bound on the coldness, for leaks that
    count."""
    reals = st.floats(0.1, 8)
    n = draw(st.integers(2, 9))
    features = draw(st.integers(0, 4))
    radius = draw(reals)
    margin = radius * draw(st.floats(0.02, 2))
    temperatures = st.floats(3, 40 if coldest is None else coldest)
    return Spec(
        K=draw(st.integers(1, 40)),
        d=draw(st.integers(1, 9)),
        m=draw(st.integers(1, 300)),
        n=n,
        margin=margin,
        tolerance=margin * draw(st.floats(0, 0.9)),
        radius=radius,
        weight_norm=draw(reals),
        bias_norm=draw(st.sampled_from([0.0, 0.5, 3.0])),
        input_radius=draw(reals),
        sum_slot=n > 2 and draw(st.booleans()),
        dtype=draw(st.sampled_from(["float32", "float64"])),
        coldness=draw(temperatures if coldest else st.none() | temperatures),
        features=features,
        feature_norm=draw(reals) if features else 1.0,
        feature_bias_norm=draw(reals) if features else 0.0,
    )


def gains_of(spec: Spec) -> Gains:
    """The gains of a Spec that has any."""
    try:
        return derive(spec)
    except Infeasible:
        assume(False)
        raise


def exact(gains: Gains) -> StoredGains:
    """The gains as exact numbers."""
    return StoredGains(**{name: Fraction(getattr(gains, name)) for name in GAINS})


def hypotheses(spec: Spec, gains: Gains) -> Hypotheses:
    """The theorem's constants, with the coldness that rounded gains reach."""
    stored = exact(gains)
    recognize = ROUNDING * (stored.T0 + stored.P2 + stored.recognize_raise)
    gate = ROUNDING * (stored.G + stored.threshold + stored.abstain + stored.elsewhere)
    return Hypotheses(
        spec,
        stored,
        Fraction(gains.input_radius),
        # The gates were charged for what Recognize leaks when its scores round.
        stored.T - max(recognize, 2 * Fraction(gains.error("recognize"))),
        stored.T - gate,
    )


def reached(spec: Spec, gains: Gains) -> Hypotheses:
    """The same in exact arithmetic: Recognize's own gains reach all of T but for their rounding."""
    one = hypotheses(spec, gains)
    stored = one.gains
    rounding = ROUNDING * (stored.T0 + stored.P2 + stored.recognize_raise)
    return replace(one, T_recognize=stored.T - rounding)


WARM = Spec(
    K=3,
    d=2,
    m=3,
    n=4,
    margin=1.0,
    radius=3.0,
    weight_norm=1.0,
    input_radius=3.0,
    features=2,
    sum_slot=True,
    dtype="float64",
    coldness=9.0,
)


@given(specs())
@example(WARM)
@example(replace(WARM, K=1, coldness=None))
def test_derived_gains_satisfy_the_theorem_s_hypotheses(spec):
    gains = gains_of(spec)
    assert not reached(spec, gains).broken_recognize()
    assert not hypotheses(spec, gains).broken_gate()


@given(specs(coldest=30.0))
@example(WARM)
def test_the_stated_leak_is_no_less_than_the_proved_one(spec):
    gains = gains_of(spec)
    one = hypotheses(spec, gains)
    one = replace(
        one,
        T_gate=min(one.T_gate, one.gains.T - 2 * Fraction(gains.error("fetch"))),
    )
    proved, stated = float(one.leak), proof.leak(spec)
    # Both are upper bounds, and what rounding takes from T_gate multiplies either by e to that.
    assert proved <= stated * (1 + 1e-9)


def test_the_stated_leak_is_the_proved_one():
    one = hypotheses(WARM, derive(WARM))
    assert float(one.leak) == pytest.approx(proof.leak(WARM), rel=1e-3)


@pytest.mark.parametrize(
    ("gain", "factor", "words"),
    [
        ("beta", 2, "beta (rho + kappa)^2 + T + slack <= T0"),
        ("beta", Fraction(1, 2), "T0 + T + slack <= beta (delta - kappa)^2"),
        ("T0", 2, "T0 + T + slack <= beta (delta - kappa)^2"),
        ("T0", Fraction(1, 2), "beta (rho + kappa)^2 + T + slack <= T0"),
        ("P2", Fraction(1, 2), "beta (2R + kappa)^2 + T0 + 2T + slack <= 2 P2"),
        ("recognize_raise", Fraction(1, 2), "T0 + 2T + slack <= raise"),
        ("G", Fraction(1, 2), "threshold + T <= G (gap - zeta)"),
        ("G", 2, "threshold + 2T <= abstain + G (1 - longest (1 + stray))"),
        ("threshold", Fraction(1, 2), "T + G zeta <= threshold"),
        ("threshold", 2, "threshold + T <= G (gap - zeta)"),
        ("abstain", Fraction(1, 2), "threshold + 2T <= abstain + G (1 - longest (1 + stray))"),
        ("elsewhere", Fraction(1, 2), "threshold + 2T + G zeta <= elsewhere"),
    ],
)
def test_every_inequality_can_break(gain, factor, words):
    spec = replace(WARM, K=12, coldness=16.0)  # a half circle of 12 codes is longer than 1
    one = reached(spec, derive(spec))
    assert not one.broken_recognize() + one.broken_gate()
    changed = replace(one.gains, **{gain: getattr(one.gains, gain) * factor})
    broken = replace(one, gains=changed)
    assert words in broken.broken_recognize() + broken.broken_gate()


def test_recognize_pays_for_the_residual_of_bos():
    # T0 was once beta rho'^2 + T, with nothing for BOS' own residual.
    one = reached(WARM, derive(WARM))
    assert one.slack > 0
    once = replace(one.gains, T0=one.gains.T0 - one.slack)
    assert replace(one, gains=once).broken_recognize() == ["beta (rho + kappa)^2 + T + slack <= T0"]


@given(st.integers(0, 2**40), st.integers(1, 2**40))
def test_exponentials_and_sines_are_bounded_from_the_right_side(numerator, denominator):
    flint = pytest.importorskip("flint")
    with working_bits(200):
        assert_bounded(flint, Fraction(numerator, denominator) % 2000, denominator)


def assert_bounded(flint: Any, t: Fraction, denominator: int) -> None:
    """The bounds of e^-t and of a sine hold."""
    ball = (-flint.arb(flint.fmpq(t.numerator, t.denominator))).exp()
    bound = exp_minus(t)
    assert ball <= flint.arb(flint.fmpq(bound.numerator, bound.denominator))
    assert t > 700 or float(bound) <= float(ball) * (1 + 1e-12)
    x = Fraction(1, 1 + denominator % 10000)
    if x <= Fraction(1, 2):
        below, above = (flint.arb(flint.fmpq(b.numerator, b.denominator)) for b in sin_pi(x))
        sine = flint.arb(flint.fmpq(x.numerator, x.denominator)).sin_pi()
        assert below <= sine <= above


@pytest.mark.parametrize("K", [1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_codes_are_as_far_apart_and_their_sums_as_long_as_is_said(K):
    one = hypotheses(replace(WARM, K=K, coldness=16.0), derive(replace(WARM, K=K, coldness=16.0)))
    sums = [
        np.linalg.norm(task_codes(K)[list(some)].sum(0))
        for size in range(1, K + 1)
        for some in itertools.combinations(range(K), size)
    ]
    assert float(one.longest_sum) == pytest.approx(max(sums), rel=1e-12)
    assert float(one.longest_sum) == pytest.approx(longest_code_sum(K), rel=1e-12)
    assert float(one.gap) == pytest.approx(code_gap(K), rel=1e-12)
    assert one.longest_sum <= one.longest


@given(st.integers(1, 5000))
@example(3)
@example(255)
def test_stored_codes_are_within_their_tolerance(K):
    flint = pytest.importorskip("flint")
    with working_bits(200):
        assert_code_within(flint, K, max(K - 1 - K // 7, 0))
    assert math.hypot(*task_codes(K)[-1]) == pytest.approx(1)


def assert_code_within(flint: Any, K: int, i: int) -> None:
    """Code i of K is stored within its tolerance."""
    for code, exact_code in zip(
        task_codes(K)[i],
        (flint.arb(flint.fmpq(2 * i, K)).cos_pi(), flint.arb(flint.fmpq(2 * i, K)).sin_pi()),
        strict=True,
    ):
        for dtype in ("float32", "float64"):
            off = flint.arb(float(np.dtype(dtype).type(code))) - exact_code
            tolerance = code_tolerance(dtype)
            assert abs(off) <= flint.arb(flint.fmpq(tolerance.numerator, tolerance.denominator))


@pytest.mark.parametrize("sum_slot", [False, True])
def test_kappa_counts_the_weights_of_a_softmax_that_is_not_hard(sum_slot):
    """Pair's label, and Lift's sum, round with all tokens' weights (Lemmas 1 and 2)."""
    n = 4 if sum_slot else 2
    sizes = {"K": 2, "d": 2, "m": 1000, "n": n, "margin": 1.0, "radius": 1.0, "input_radius": 1.0}
    spec = Spec(**sizes, weight_norm=1.0, coldness=20.0, sum_slot=sum_slot)
    own = gamma(spec.tokens + 3, spec.dtype)
    own += sum_slot * gamma(n + 4 + 2 * spec.tokens, spec.dtype) * (n - 2)
    assert not derive(spec).hard
    assert derive(spec).residual >= own
    assert derive(replace(spec, coldness=None)).residual < own / 10


def test_a_code_rounds_with_what_is_summed():
    spec = Spec(K=300, d=2, m=10, n=5, margin=1.0, radius=1.0, weight_norm=1.0)
    assert code_rounding(spec, True) >= gamma(15, spec.dtype)
    assert code_rounding(spec, True, spec.K) >= gamma(15 + spec.K - 1, spec.dtype)
    assert code_rounding(spec, False) >= gamma(15 + 2 * spec.tokens + spec.K + spec.n, spec.dtype)
