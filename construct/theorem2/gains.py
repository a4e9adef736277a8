"""The gains of Theorem 2's three layers, each a formula of the Spec beside the lemma that needs it.
Ours.

No plateau restores ok here, so its leak enters Superpose's scores: the winners' scores differ by up
to the layer's *spread*, which is at most 2 C omega, with C about 3T and omega about K e^-T.
Admissible means that the spread stays below T/2.
"""

import math
from dataclasses import dataclass

from construct.floats import gamma, hard_gap, short
from construct.gains import (
    CommonGains,
    Infeasible,
    Recognition,
    bounded_inputs,
    check_representable,
    check_rounding,
    derived,
    largest_residual_score,
    least_coldness,
    recognition,
)
from construct.spec import Spec


@dataclass(frozen=True, kw_only=True)
class Gains(CommonGains):
    """Every gain of the construction, and the charges that its lemmas pay.

    T: coldness. hard: every computed gap makes a loser's weight exactly 0. score_error: by layer,
    how far a computed score difference can be from the exact one. residual: charge for a residual's
    leak and rounding. omega: how far ok can be from 0 or 1. C: Superpose's gain on ok; its winners
    score within C omega of 0.
    """

    residual: float
    omega: float
    C: float

    def spread(self, layer: str) -> float:
        """How far apart the winners' scores can be: only Superpose's read a flag that leaks."""
        return 2 * self.C * self.omega if layer == "superpose" else 0.0


def derive(spec: Spec) -> Gains:
    """The gains of a Spec. Raises Infeasible (a ValueError) with the reason and a margin or dtype
    that would do."""
    return derived(spec, _gains, default_coldness)


def default_coldness(spec: Spec) -> float:
    """The least coldness that makes every head's softmax hard."""
    return least_coldness(spec.dtype, lambda T: _recognition(spec, T).error)


def _recognition(spec: Spec, T: float) -> Recognition:
    # Pair's scores are exact, so that its softmax is hard from the format's own gap on; below, its
    # weights round too.
    rounding = (
        0.0 if hard_gap(spec.dtype) <= T else gamma(spec.tokens + 3, spec.dtype) * 2 * spec.radius
    )
    return recognition(
        spec,
        T,
        lambda tau, far, _: label_leak(spec, tau, far) + rounding,
        lambda third, _: sink_label_leak(spec, third),
    )


def _gains(spec: Spec) -> Gains:
    T = short(default_coldness(spec) if spec.coldness is None else spec.coldness)
    second = _recognition(spec, T)
    check_rounding(spec, T, "recognize", second.error)
    hard = T - 2 * second.error >= hard_gap(spec.dtype)
    # An upper bound also where e^-T is below every float.
    tau = math.nextafter(math.exp(-(T - 2 * second.error)) * (1 + gamma(8, spec.dtype)), math.inf)
    omega = flag_leak(spec, tau, spec.tokens * tau**2) + flag_rounding(spec, hard)
    # Winners score C (ok - 1) >= -C omega and BOS -(T + C omega): T behind. Losers have ok <=
    # omega: C (1 - 2 omega) >= 3T behind.
    C = short(3 * T / (1 - 2 * omega)) if omega < 1 / 2 else math.inf
    if not 2 * C * omega < T / 2:
        raise Infeasible(
            f"coldness = {T:g} with K = {spec.K}: ok leaks {omega:.3g}, so that the scores of "
            "committed tokens differ by up to "
            f"{2 * C * omega:.3g}, which must stay below T/2 = {T / 2:.3g}"
        )
    # ok is exactly 0 or 1 if the softmax is hard, and then so is each score a whole multiple of C;
    # what C omega adds to T at BOS may be lost when that sum is stored.
    superpose = C * omega if hard else gamma(4, spec.dtype) * (2 * C + T)
    gains = Gains(
        T=T,
        hard=hard,
        score_error=(("pair", 0.0), ("recognize", second.error), ("superpose", superpose)),
        input_radius=bounded_inputs(spec)[0],
        residual=second.residual,
        beta=second.beta,
        T0=second.T0,
        P2=second.P2,
        recognize_raise=second.recognize_raise,
        omega=omega,
        C=C,
    )
    check_representable(spec, gains, largest_scores(spec, gains), gains.beta)
    return gains


def largest_scores(spec: Spec, gains: Gains) -> dict[str, float]:
    """The largest magnitude of a score, and of a partial sum on the way to it, that each layer can
    produce."""
    T, below = gains.T, gains.T + gains.C * gains.omega
    return {
        "pair": T
        * (
            spec.example_bits + spec.slot_bits + 7
        ),  # BOS for the answer token, where one - inp + qry = 2
        "recognize": largest_residual_score(spec, gains, gains.residual),
        "superpose": max(
            gains.C * (1 + gains.omega) + below, 4 * (T + below)
        ),  # BOS for an example's input, where one + inp = 2
    }


def label_leak(spec: Spec, tau: float, far: float) -> float:
    """Lemma 1: how far the label that an input reads can be off, in Euclidean norm."""
    # Twice a weight of 1/Z, with Z - 2 <= tau + far, falls short of 1 by half of that; other labels
    # weigh far/2 in all, twice.
    return spec.radius * (tau / 2 + 2 * far)


def sink_label_leak(spec: Spec, third: float) -> float:
    """Lemma 1: how far BOS' y can be from 0 after Pair: BOS leads labels by 3T there, and they are
    read twice. third: N e^-3T."""
    return 2 * spec.radius * third


def carried_leak(spec: Spec, tau: float, far: float, input_radius: float) -> float:
    """Lemma 1: how far the query's content that an input carries can be off; the near loser, the
    input itself, holds x."""
    return input_radius * (3 * tau / 2 + 3 * far)


def flag_leak(spec: Spec, tau: float, far: float) -> float:
    """Lemma 2: how far ok can be from 0 or 1: each of K heads misplaces a loser at T and
    all at 2T."""
    return spec.K * (tau + far)


def flag_rounding(spec: Spec, hard: bool) -> float:
    """Rounding of ok: none if all weights are exactly 0 or 1, else K weights over all tokens, and
    their sum."""
    return 0.0 if hard else spec.K * gamma(spec.tokens + spec.K + 3, spec.dtype)
