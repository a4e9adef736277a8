"""What the machine-checked theorem assumes of the gains, and the leak that it proves, in rationals.

A transcription of section 6 of `proofs/rocq/statement.v`: its definitions under their names, over
Fractions. Where they are irrational (exponentials, sines) a rational is put that errs to the safe
side: every quantity here is an upper bound of the real one, but the codes' gap, which is a lower
bound. What is assumed of a Spec is that its fields bound what they say."""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from construct.floats import unit_roundoff
from construct.spec import Spec

# Elementary functions of the C library err by a few units in the last place.
LIBRARY = Fraction(1, 2**50)
SMALLEST = Fraction(math.ulp(0.0))


@dataclass(frozen=True)
class StoredGains:
    """The gains that stored weights have, as exact numbers."""

    T: Fraction
    beta: Fraction
    T0: Fraction
    P2: Fraction
    recognize_raise: Fraction
    G: Fraction
    threshold: Fraction
    abstain: Fraction
    elsewhere: Fraction


def exp_minus(t: Fraction) -> Fraction:
    """At least e^-t, t >= 0."""
    below = float(t)  # the nearest float; if that is more than t, the one below
    if below > t:
        below = math.nextafter(below, -math.inf)
    return Fraction(math.exp(-below)) * (1 + LIBRARY) + SMALLEST


def sin_pi(x: Fraction) -> tuple[Fraction, Fraction]:
    """Bounds below and above of sin(pi x), 0 < x <= 1/2."""
    computed = Fraction(math.sin(math.pi * float(x)))
    return computed * (1 - LIBRARY), computed * (1 + LIBRARY)


def code_rounding(dtype: str) -> Fraction:
    """How far a stored cosine or sine of a task code may be from the float64 that the library
    computes: a product with a gain, and the stored entry, round once each."""
    u = Fraction(unit_roundoff("float64"))
    return 2 * u if dtype == "float64" else 2 * u + Fraction(unit_roundoff(dtype))


def code_tolerance(dtype: str) -> Fraction:
    """How far a stored cosine or sine of a task code may be from the real one."""
    # 2 pi i/K is rounded three times (pi by less than u/2), on at most 2 pi: 16u; and the cosine.
    return 17 * Fraction(unit_roundoff("float64")) + code_rounding(dtype)


@dataclass(frozen=True)
class Hypotheses:
    """The theorem's constants for a Spec and stored gains; T_recognize, T_gate: the coldness that
    Recognize's gains and the gates' are taken to reach."""

    spec: Spec
    gains: StoredGains
    input_radius: Fraction
    T_recognize: Fraction
    T_gate: Fraction

    def _of(self, name: str) -> Fraction:
        return Fraction(getattr(self.spec, name))

    def nu_at(self, t: Fraction) -> Fraction:
        """All losers at distance 2t together."""
        return self.spec.tokens * exp_minus(2 * t)

    @cached_property
    def tau(self) -> Fraction:
        return exp_minus(self.gains.T)

    @cached_property
    def nu(self) -> Fraction:
        return self.nu_at(self.gains.T)

    @cached_property
    def nu_bos(self) -> Fraction:
        """BOS itself idles by 3T in Lift and Pair."""
        return self.spec.tokens * exp_minus(3 * self.gains.T)

    # Task codes.

    @property
    def gap(self) -> Fraction:
        """1 - cos(2 pi/K) = 2 sin(pi/K)^2, from below."""
        K = self.spec.K
        return Fraction(2) if K <= 2 else 2 * sin_pi(Fraction(1, K))[0] ** 2

    @property
    def longest_sum(self) -> Fraction:
        """The longest sum of distinct codes: cos(pi/2K)/sin(pi/K) = 1/(2 sin(pi/2K)) for odd K."""
        K = self.spec.K
        if K <= 2:
            return Fraction(1)
        return 1 / (2 * sin_pi(Fraction(1, 2 * K))[0]) if K % 2 else 1 / sin_pi(Fraction(1, K))[0]

    @property
    def code_tolerance(self) -> Fraction:
        """Of a code, in Euclidean norm: at most 3/2 of a coordinate's."""
        return Fraction(3, 2) * code_tolerance(self.spec.dtype)

    @property
    def code_error(self) -> Fraction:
        return 2 * self.code_tolerance + self.code_tolerance**2

    @property
    def longest(self) -> Fraction:
        return (self.longest_sum + self.spec.K * self.code_tolerance) * (1 + self.code_tolerance)

    # 1. Lift, in x and in f: at any token, at one that is no input, and at BOS.

    @property
    def lifted(self) -> Fraction:
        if not self.spec.sum_slot:
            return Fraction(0)
        return max(2 * self.input_radius * (3 * self.tau + self.nu), self.lifted_rest)

    @property
    def lifted_rest(self) -> Fraction:
        return self._strays * self.nu

    @property
    def lifted_bos(self) -> Fraction:
        return self._strays * self.nu_bos

    @property
    def _strays(self) -> Fraction:
        return (self.spec.n - 2) * self.input_radius if self.spec.sum_slot else Fraction(0)

    @property
    def E_f(self) -> Fraction:
        return self._of("feature_norm") * self.lifted

    @property
    def E_f_rest(self) -> Fraction:
        return self._of("feature_norm") * self.lifted_rest

    @property
    def E_f_bos(self) -> Fraction:
        return self._of("feature_norm") * self.lifted_bos

    # 2. Pair.

    @property
    def E_y(self) -> Fraction:
        return self._of("radius") * (self.spec.n * self.tau + 2 * self.nu)

    # 3. Recognize: what is charged to a residual, and what BOS' own residual costs.

    @property
    def kappa(self) -> Fraction:
        return self._of("weight_norm") * self.E_f + self.E_y

    @property
    def kappa_bos(self) -> Fraction:
        return self._of("weight_norm") * self.E_f_bos + self._of("radius") * self.nu_bos

    @property
    def slack(self) -> Fraction:
        return self.gains.beta * ((2 * self._of("radius") + self.kappa) * self.kappa_bos)

    # 4. Commit: the weight that a task which does not explain can still have at a label.

    @cached_property
    def stray(self) -> Fraction:
        t = self.T_recognize
        return exp_minus(t) + (self.spec.n + 1) * self.nu_at(t) + self.nu

    @property
    def zeta(self) -> Fraction:
        return (
            self.code_error
            + (2 * self.tau + self.stray) * (1 + self.code_error)
            + self.stray * self.longest
        )

    # 5. Fetch.

    @cached_property
    def nu_gate(self) -> Fraction:
        return self.nu_at(self.T_gate)

    @cached_property
    def shut_gate(self) -> Fraction:
        """What a shut head misplaces: BOS is 2T above the token, and 4T above all else."""
        return exp_minus(2 * self.T_gate) + self.nu_at(2 * self.T_gate)

    @property
    def misplaced(self) -> Fraction:
        return 3 * exp_minus(self.T_gate) + 4 * self.nu_gate + self.spec.K * self.shut_gate

    @property
    def longest_feature(self) -> Fraction:
        return (
            self._of("feature_norm") * self.input_radius
            + self._of("feature_bias_norm")
            + self.E_f
            + self.E_f_bos
        )

    @property
    def fetched(self) -> Fraction:
        return (
            self.E_f
            + self.E_f_rest
            + self.spec.K * self.E_f_bos
            + self.misplaced * self.longest_feature
        )

    @property
    def fetched_bos(self) -> Fraction:
        return self.E_f_bos + self.spec.K * (self.E_f_bos + self.shut_gate * self.longest_feature)

    # 6. Execute.

    @property
    def longest_value(self) -> Fraction:
        return (
            2 * self._of("radius")
            + self._of("bias_norm")
            + self._of("weight_norm") * self.fetched
            + self.E_y
        )

    @property
    def value_bos(self) -> Fraction:
        return self._of("weight_norm") * self.fetched_bos + self._of("radius") * self.nu_bos

    @property
    def executed(self) -> Fraction:
        return (
            self._of("weight_norm") * self.fetched
            + self.misplaced * (self.longest_value + self.value_bos)
            + self.spec.K * self.value_bos
        )

    @property
    def idle_y(self) -> Fraction:
        moved = self.value_bos + self.shut_gate * (self.longest_value + self.value_bos)
        return self._of("radius") * self.nu + self.spec.K * moved

    # 7. Superpose.

    @property
    def leak(self) -> Fraction:
        """How far the answer can be from the superposition, in every coordinate, in exact
        arithmetic."""
        held = self._of("radius") + self.E_y + self.executed + self.idle_y
        return self.executed + 2 * self.idle_y + (self.tau + 2 * self.nu) * held

    # What is assumed of the gains.

    def broken_recognize(self) -> list[str]:
        """The inequalities between Recognize's gains that do not hold, in words."""
        spec, gains, t = self.spec, self.gains, self.T_recognize
        rho, delta = self._of("tolerance") + self.kappa, self._of("margin") - self.kappa
        opposite = 2 * self._of("radius") + self.kappa
        beta, slack = gains.beta, self.slack
        inequalities = {
            "0 <= beta": beta >= 0,
            f"0 <= {float(t):.6g} <= T": 0 <= t <= gains.T,
            "kappa <= delta": delta >= 0,
            "beta (rho + kappa)^2 + T + slack <= T0": beta * rho**2 + t + slack <= gains.T0,
            "T0 + T + slack <= beta (delta - kappa)^2": gains.T0 + t + slack <= beta * delta**2,
            "beta (2R + kappa)^2 + T0 + 2T + slack <= 2 P2": beta * opposite**2
            + gains.T0
            + 2 * t
            + slack
            <= 2 * gains.P2,
            "T0 + 2T + slack <= raise": gains.T0 + 2 * t + slack <= gains.recognize_raise,
            "K stray <= 1/4": spec.K * self.stray <= Fraction(1, 4),
            "min(K, 2) (2 tau + stray) <= 1/4": min(spec.K, 2) * (2 * self.tau + self.stray)
            <= Fraction(1, 4),
        }
        return [words for words, holds in inequalities.items() if not holds]

    def broken_gate(self) -> list[str]:
        """The inequalities between the gates' gains that do not hold, in words."""
        gains, t, zeta = self.gains, self.T_gate, self.zeta
        G, threshold = gains.G, gains.threshold
        inequalities = {
            "0 <= G": G >= 0,
            "0 <= abstain": gains.abstain >= 0,
            "0 <= elsewhere": gains.elsewhere >= 0,
            f"0 <= {float(t):.6g} <= T": 0 <= t <= gains.T,
            "T + G zeta <= threshold": t + G * zeta <= threshold,
            "threshold + T <= G (gap - zeta)": threshold + t <= G * (self.gap - zeta),
            "threshold + 2T <= abstain + G (1 - longest (1 + stray))": threshold + 2 * t
            <= gains.abstain + G * (1 - self.longest * (1 + self.stray)),
            "threshold + 2T + G zeta <= elsewhere": threshold + 2 * t + G * zeta <= gains.elsewhere,
        }
        return [words for words, holds in inequalities.items() if not holds]
