"""Do the constructor's gains satisfy what the machine-checked theorem assumes? Its inequalities and its leak, in exact arithmetic.

`statement.v` assumes inequalities of the gains (`admissible`) and bounds the error by `leak`. Here both are evaluated for a
Spec over intervals with rational ends: an inequality holds if the upper end of its left side is at most the lower end of its
right side. The gains are those that `derive` returns, as the weights store them. What depends on a task (its norms, its slot)
is the caller's: the Spec's bounds are taken at their word.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

import numpy as np

from construct.residual import task_codes
from construct.spec import Spec
from construct.theorem1.gains import derive

BITS = 320  # of an interval's ends


def _rounded(x: Fraction, up: bool) -> Fraction:
    """x rounded to BITS significant bits, outward."""
    if x == 0:
        return x
    shift = BITS - x.numerator.bit_length() + x.denominator.bit_length()
    scaled = x * Fraction(2) ** shift
    whole = -((-scaled.numerator) // scaled.denominator) if up else scaled.numerator // scaled.denominator
    return whole / Fraction(2) ** shift


@dataclass(frozen=True)
class Interval:
    """The real numbers from lo to hi."""

    lo: Fraction
    hi: Fraction

    @staticmethod
    def of(x: "Number") -> "Interval":
        """A number as an interval."""
        return x if isinstance(x, Interval) else Interval(Fraction(x), Fraction(x))

    @staticmethod
    def hull(*ends: Fraction) -> "Interval":
        """The least interval that holds some numbers, its ends rounded outward."""
        return Interval(_rounded(min(ends), False), _rounded(max(ends), True))

    def __add__(self, other: "Number") -> "Interval":
        o = Interval.of(other)
        return Interval.hull(self.lo + o.lo, self.hi + o.hi)

    def __neg__(self) -> "Interval":
        return Interval(-self.hi, -self.lo)

    def __sub__(self, other: "Number") -> "Interval":
        return self + -Interval.of(other)

    def __mul__(self, other: "Number") -> "Interval":
        o = Interval.of(other)
        return Interval.hull(self.lo * o.lo, self.lo * o.hi, self.hi * o.lo, self.hi * o.hi)

    def __truediv__(self, other: "Number") -> "Interval":
        o = Interval.of(other)
        assert o.lo > 0, "only positive numbers divide here"
        return self * Interval.hull(1 / o.lo, 1 / o.hi)

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: "Number") -> "Interval":
        return Interval.of(other) - self


Number = Interval | Fraction | int | float


def exp_minus(t: Number) -> Interval:
    """e^-t for t >= 0: (e^(-t/2^k))^(2^k), the inner one by its alternating series."""
    t = Interval.of(t)
    k = max(int(t.hi), 1).bit_length() + 2
    x = t / 2**k  # at most 1/2
    total, term, j = Interval.of(1), Interval.of(1), 0
    while term.hi > Fraction(1, 2**BITS):
        j += 1
        term = term * x / j
        total = total + term if j % 2 == 0 else total - term
    total = total + Interval(-term.hi, term.hi)
    for _ in range(k):
        total = total * total
    return total


def _arctan_inverse(q: int) -> Interval:
    """arctan(1/q), by its alternating series."""
    total, power, j = Fraction(0), Fraction(1, q), 0
    while power > Fraction(1, 2**BITS):
        total += (-1) ** j * power / (2 * j + 1)
        power /= q * q
        j += 1
    return Interval.hull(total - power, total + power)


PI = 16 * _arctan_inverse(5) - 4 * _arctan_inverse(239)


def cos_sin(x: Interval) -> tuple[Interval, Interval]:
    """Cosine and sine of an angle from 0 to 2 pi, by their series."""
    sums, term, j = [Interval.of(1), Interval.of(0)], Interval.of(1), 0
    while term.hi > Fraction(1, 2**BITS) or j < 20:
        j += 1
        term = term * x / j
        sums[j % 2] = sums[j % 2] + (term if j % 4 < 2 else -term)
    rest = Interval(-term.hi, term.hi)
    return sums[0] + rest, sums[1] + rest


def _root_above(x: Fraction) -> Fraction:
    """A number at least the square root of x."""
    scale = 2**BITS
    return Fraction(isqrt(int(x * scale * scale)) + 1, scale)


def code_tolerance(spec: Spec, G: float) -> Fraction:
    """How far a stored task code is from its point on the circle, where it is written and where a gate reads it."""
    worst = Fraction(0)
    for i, code in enumerate(task_codes(spec.K)):
        exact = cos_sin(PI * Fraction(2 * i, spec.K))
        written = [Fraction(float(np.dtype(spec.dtype).type(c))) for c in code]
        read = [Fraction(float(np.dtype(spec.dtype).type(G * c))) / Fraction(G) for c in code]
        for stored in (written, read):
            off = [e - s for e, s in zip(exact, stored, strict=True)]
            square = sum((d * d).hi for d in off)
            worst = max(worst, _root_above(square) if square > Fraction(1, 2 ** (BITS // 2)) else Fraction(0))
    return worst


@dataclass(frozen=True)
class Hypotheses:
    """The inequalities of `admissible` by name, left and right side; the effective coldnesses; an upper bound of the leak."""

    inequalities: dict[str, tuple[Interval, Interval]]
    T_recognize: Fraction
    T_gate: Fraction
    leak: Fraction

    @property
    def failing(self) -> list[str]:
        """The names of those that are not seen to hold."""
        return [name for name, (left, right) in self.inequalities.items() if not left.hi <= right.lo]


def _below(x: Fraction, T: Fraction) -> Fraction:
    """The largest multiple of 2^-40 that is at most x, or T if x is at least T."""
    return T if x >= T else Fraction((x.numerator * 2**40) // x.denominator, 2**40)


def hypotheses(spec: Spec) -> Hypotheses:
    """The hypotheses of the machine-checked theorem at the gains of a Spec; the names are those of statement.v."""
    gains = derive(spec)
    number = np.dtype(spec.dtype).type
    K, n, L = spec.K, spec.n, spec.example_bits + spec.slot_bits
    N = 1 + (spec.m + 1) * n
    T, beta, P2, G = (Fraction(g) for g in (gains.T, gains.beta, gains.P2, gains.G))
    T0 = P2 * L - Fraction(float(number(gains.P2 * L - gains.T0)))  # BOS' constant is stored
    threshold = Fraction(float(number(gains.threshold)))
    R, X = Fraction(spec.radius), Fraction(gains.input_radius)
    rho, delta = Fraction(spec.tolerance), Fraction(spec.margin)
    W, b = Fraction(spec.weight_norm), Fraction(spec.bias_norm)
    B, c = Fraction(spec.feature_norm), Fraction(spec.feature_bias_norm)

    tau = exp_minus(T)
    nu, nu_bos = N * exp_minus(2 * T), N * exp_minus(3 * T)

    # Lift and Pair.
    sums = n - 2 if spec.sum_slot else 0
    rest, bos = sums * X * nu, sums * X * nu_bos
    lifted = 2 * X * (3 * tau + nu) if spec.sum_slot else Interval.of(0)
    lifted = Interval(max(lifted.lo, rest.lo), max(lifted.hi, rest.hi))
    E_f, E_f_rest, E_f_bos = B * lifted, B * rest, B * bos
    E_y = R * (n * tau + 2 * nu)

    # Recognize.
    kappa, kappa_bos = W * E_f + E_y, W * E_f_bos + R * nu_bos
    longest_residual = 2 * R + kappa
    slack = beta * longest_residual * kappa_bos
    explained = beta * (rho + kappa) * (rho + kappa)
    unexplained = beta * (delta - kappa) * (delta - kappa)
    opposite = beta * longest_residual * longest_residual
    reach = min(
        (T0 - explained - slack).lo,
        (unexplained - T0 - slack).lo,
        (2 * P2 - opposite - T0 - slack).lo / 2,
        (Fraction(gains.recognize_raise) - T0 - slack).lo / 2,
    )
    T_recognize = _below(reach, T)

    # Commit, and the task codes.
    stray = exp_minus(max(T_recognize, Fraction(0))) + (n + 1) * N * exp_minus(2 * max(T_recognize, Fraction(0))) + nu
    if K == 1:
        gap, longest_sum = Interval.of(2), Interval.of(1)
    else:
        gap = 1 - cos_sin(2 * PI / K)[0]
        longest_sum = (cos_sin(PI / (2 * K))[0] if K % 2 else Interval.of(1)) / cos_sin(PI / K)[1]
    t = code_tolerance(spec, gains.G)
    code_error = 2 * t + t * t
    longest = (longest_sum + K * t) * (1 + t)
    zeta = code_error + (2 * tau + stray) * (1 + code_error) + stray * longest

    # Fetch and Execute.
    abstain, elsewhere = Fraction(gains.abstain), Fraction(gains.elsewhere)
    reach = min(
        (threshold - G * zeta).lo,
        (G * (gap - zeta) - threshold).lo,
        (abstain + G * (1 - longest * (1 + stray)) - threshold).lo / 2,
        (elsewhere - threshold - G * zeta).lo / 2,
    )
    T_gate = _below(reach, T)
    cold = max(T_gate, Fraction(0))
    tau_gate, nu_gate = exp_minus(cold), N * exp_minus(2 * cold)
    shut = exp_minus(2 * cold) + N * exp_minus(4 * cold)
    misplaced = 3 * tau_gate + 4 * nu_gate + K * shut
    longest_feature = B * X + c + E_f + E_f_bos
    fetched = E_f + E_f_rest + K * E_f_bos + misplaced * longest_feature
    fetched_bos = E_f_bos + K * (E_f_bos + shut * longest_feature)
    longest_value = 2 * R + b + W * fetched + E_y
    value_bos = W * fetched_bos + R * nu_bos
    executed = W * fetched + misplaced * (longest_value + value_bos) + K * value_bos
    idle_y = R * nu + K * (value_bos + shut * (longest_value + value_bos))
    leak = executed + 2 * idle_y + (tau + 2 * nu) * (R + E_y + executed + idle_y)

    of = Interval.of
    inequalities = {
        "cold_recognize": (of(0), of(T_recognize)),
        "room": (of(0), delta - kappa),
        "explained_wins": (explained + T_recognize + slack, of(T0)),
        "unexplained_loses": (T0 + T_recognize + slack, unexplained),
        "others_lose": (opposite + T0 + 2 * T_recognize + slack, of(2 * P2)),
        "raised": (T0 + 2 * T_recognize + slack, of(Fraction(gains.recognize_raise))),
        "plateau": (K * stray, of(Fraction(1, 4))),
        "plateau_top": (min(K, 2) * (2 * tau + stray), of(Fraction(1, 4))),
        "cold_gate": (of(0), of(T_gate)),
        "gate_own": (T_gate + G * zeta, of(threshold)),
        "gate_neighbor": (of(threshold + T_gate), G * (gap - zeta)),
        "gate_abstained": (of(threshold + 2 * T_gate), abstain + G * (1 - longest * (1 + stray))),
        "gate_elsewhere": (threshold + 2 * T_gate + G * zeta, of(elsewhere)),
    }
    return Hypotheses(inequalities, T_recognize, T_gate, leak.hi)
