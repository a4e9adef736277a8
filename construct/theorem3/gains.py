"""The gains of Theorem 3's five layers, each a formula of the Spec beside the lemma that needs it.
Ours.

Norms: an output and a label that Recognize compares have squared norms within `norm_tolerance` of
1, a sixteenth of delta^2 - rho^2, so that twice their inner product, 2 - ||r||^2 up to twice that
tolerance, still tells rho from delta.
"""

import math
from dataclasses import dataclass

from construct.floats import gamma, hard_gap, short
from construct.gains import (
    CommonGains,
    Infeasible,
    check_representable,
    check_rounding,
    derived,
    least_coldness,
)
from construct.spec import Spec
from construct.theorem3.series import Series, best_eps, series

# Share of delta^2 - rho^2 that each of the two squared norms may be off by: together, at both ends,
# they take a quarter of it.
NORM_SHARE = 16
# Roundings of a gate's weight and of what it carries: exp (8), the softmax's sum and division, the
# product with the value, the stored coefficient and its product, and three sums onto the stream.
GATE_ROUNDINGS = 16


@dataclass(frozen=True, kw_only=True)
class Gains(CommonGains):
    """Every gain of the construction, and the charges that its lemmas pay.

    T: coldness. hard: every computed gap makes a loser's weight exactly 0. score_error: by layer,
    how far a computed score difference can be from the exact one. input_radius: the bound on
    inputs, 1 unless the Spec says otherwise. norm_tolerance: how far a squared norm may be from 1.
    place: Perform's gain on positions. series: its gates.
    """

    norm_tolerance: float
    place: float
    series: Series

    def spread(self, layer: str) -> float:
        """How far apart the winners' scores can be: a gate's two winners are its slope times |w -
        1/2| apart."""
        gates = ("balance", "open", "correct")
        return self.series.slopes[gates.index(layer)] if layer in gates else 0.0


def derive(spec: Spec) -> Gains:
    """The gains of a Spec. Raises Infeasible (a ValueError) with the reason and a margin or dtype
    that would do."""
    return derived(spec, _gains, default_coldness)


def default_coldness(spec: Spec) -> float:
    """The least coldness that makes every selecting head's softmax hard."""
    return least_coldness(spec.dtype, lambda T: _recognition(spec, T)[3])


def norm_tolerance(spec: Spec) -> float:
    """How far the squared norms of a label, and of an output in its task's slot, may be from 1."""
    return (spec.margin**2 - spec.tolerance**2) / NORM_SHARE


def _recognition(spec: Spec, T: float) -> tuple[float, float, float, float]:
    """Recognize's beta, T0, P2 and score error (Lemma 1)."""
    # 2 <y, W x + b> = |y|^2 + |W x + b|^2 - |r|^2: at least 2 - rho'^2 if the task explains it, at
    # most 2 - delta'^2 if not.
    slack = 2 * norm_tolerance(spec)
    rho2, delta2 = spec.tolerance**2 + slack, spec.margin**2 - slack
    beta = short(2 * T / (delta2 - rho2))
    T0 = beta * rho2 + T
    # Any other token, even with 2 <y, W x + b> = 2R^2, loses to BOS by 2T.
    P2 = short((2 * beta * (spec.radius**2 - 1) + T0 + 2 * T) / 2)
    # Rank d + L + 1; || |W| || <= sqrt(d) ||W||.
    L = spec.example_bits + spec.slot_bits
    output = math.sqrt(spec.d) * spec.weight_norm * _input_radius(spec) + spec.bias_norm
    error = gamma(spec.d + L + 5, spec.dtype) * (
        P2 * L + 2 * beta * (1 + spec.radius * output) + T0
    )
    return beta, T0, P2, error


def _input_radius(spec: Spec) -> float:
    return 1.0 if spec.input_radius is None else spec.input_radius


def _gains(spec: Spec) -> Gains:
    T = short(default_coldness(spec) if spec.coldness is None else spec.coldness)
    beta, T0, P2, error = _recognition(spec, T)
    check_rounding(spec, T, "recognize", error)
    hard = T - 2 * error >= hard_gap(spec.dtype)
    tau = math.exp(-(T - 2 * error)) * (1 + gamma(8, spec.dtype))
    # Lemma 1: the leaked count must stay on the plateaus of the trapezoid.
    count = count_leak(spec, tau, spec.tokens * tau**2) + count_rounding(spec, hard)
    if not count < 1 / 4:
        raise Infeasible(
            f"coldness = {T:g}: the count of explaining tasks leaks {count:.3g}, which must stay "
            "below 1/4"
        )
    # Lemmas 3 to 5: eps balances the remainder against the rounding of K gates whose backgrounds
    # cancel.
    gates = series(best_eps(spec.K * gamma(gate_roundings(spec, hard), spec.dtype)))
    steepest = max(gates.slopes)
    errors = {"recognize": error, "tally": 0.0} | {
        name: gamma(6, spec.dtype) * slope
        for name, slope in zip(("balance", "open", "correct"), gates.slopes, strict=True)
    }
    gains = Gains(
        T=T,
        hard=hard,
        score_error=tuple(errors.items()),
        input_radius=_input_radius(spec),
        norm_tolerance=norm_tolerance(spec),
        beta=beta,
        T0=T0,
        P2=P2,
        recognize_raise=short(max(T0 + 2 * T - 2 * beta, 0.0)),
        place=short(T + steepest),
        series=gates,
    )
    check_representable(spec, gains, largest_scores(spec, gains), 2 * gains.beta)
    return gains


def largest_scores(spec: Spec, gains: Gains) -> dict[str, float]:
    """The largest magnitude of a score, and of a partial sum on the way to it, that each layer can
    produce."""
    T, L = gains.T, spec.example_bits + spec.slot_bits
    gates = zip(("balance", "open", "correct"), gains.series.slopes, strict=True)
    return {
        "recognize": gains.P2 * L
        + 2 * gains.beta * spec.radius**2
        + gains.T0
        + gains.recognize_raise,
        "tally": 5 * T,  # BOS for an example's input, where one + inp = 2
    } | {
        name: 2 * gains.place * L + 4 * T + 3 * slope for name, slope in gates
    }  # BOS for an example's input: 4T + 2 slope


def gate_roundings(spec: Spec, hard: bool) -> int:
    """Roundings on the way of a gate's term into the answer, the sum over K heads in blocks of
    sqrt(K) included."""
    return GATE_ROUNDINGS + 2 * (math.isqrt(spec.K - 1) + 1) + (0 if hard else 2 * spec.tokens)


def count_leak(spec: Spec, tau: float, far: float) -> float:
    """Lemma 1: how far a label's count can be off: each of K heads misplaces a loser at T and all
    at 2T."""
    return spec.K * (tau + far)


def count_rounding(spec: Spec, hard: bool) -> float:
    """Rounding of a label's count: none if all weights are exactly 0 or 1, else K weights over all
    tokens, and their sum."""
    return 0.0 if hard else spec.K * gamma(spec.tokens + spec.K + 3, spec.dtype)
