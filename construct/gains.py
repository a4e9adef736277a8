"""What the gains of all theorems share: the coldness, the gains of a head that weighs a residual,
roundings, and refusals.

A theorem's own `gains` module derives the rest. Ours.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, TypeVar, cast

from construct import checks
from construct.floats import (
    SHORT_BITS,
    gamma,
    hard_gap,
    largest,
    short,
    smallest_normal,
    underflow,
    unit_roundoff,
)
from construct.spec import Spec

# How the band between tolerance and margin is split when the caller bounds no input: an eighth of
# it is left to the rounding of residuals, at either end. Any split would do; this one costs beta a
# third.
ROOM = 8

G = TypeVar("G")


class Infeasible(ValueError):
    """No transformer for this Spec: its scores do not fit the dtype, or its coldness is not
    admissible."""


@dataclass(frozen=True, kw_only=True)
class SelectionGains:
    """What the gains of every theorem tell: of heads that select, and no more.

    T: the coldness. hard: every computed gap makes a loser's weight exactly 0. score_error: by
    layer, how far a computed score difference can be from the exact one. input_radius: the bound on
    inputs.
    """

    T: float
    hard: bool
    score_error: tuple[tuple[str, float], ...]
    input_radius: float

    def error(self, layer: str) -> float:
        """The score error of a layer, by name."""
        return dict(self.score_error)[layer]

    def spread(self, layer: str) -> float:
        """How far apart the exact scores of a layer's winners can be: 0 where they tie."""
        return 0.0


@dataclass(frozen=True, kw_only=True)
class CommonGains(SelectionGains):
    """What the gains of every theorem tell that recognizes a task by its residual.

    beta, T0, P2, recognize_raise: of the head that attends to a token iff its task explains it, see
    `recognition`.
    """

    beta: float
    T0: float
    P2: float
    recognize_raise: float

    @cached_property
    def decided(self) -> float:
        """The least score gap, either way, that Recognize's heads show where they decide."""
        return self.T - 2 * self.error("recognize")

    def residual_norm(self, gap: float) -> float:
        """The residual ||W_i f + b_i - y|| that a Recognize head's score gap (above BOS) tells
        of."""
        return math.sqrt(max(self.T0 - gap, 0.0) / self.beta)


def derived(spec: Spec, gains: Callable[[Spec], G], coldness: Callable[[Spec], float]) -> G:
    """The gains of a Spec, remembered. Raises Infeasible (a ValueError) with the reason and a
    margin, dtype or coldness that would do; ValueError for what is no Spec."""
    checks.instance("spec", spec, Spec, "use Spec.of(tasks, ...)")
    return cast(G, _derived(spec, gains, coldness))


@lru_cache(maxsize=1024)
def _derived(spec: Spec, gains: Callable[[Spec], G], coldness: Callable[[Spec], float]) -> G:
    try:
        return gains(spec)
    except OverflowError:
        raise Infeasible(
            "a gain of this Spec overflows every float; rescale labels, inputs and weights to "
            "moderate norms"
        ) from None
    except Infeasible as error:
        raise Infeasible(f"{error}; {_way_out(spec, gains, coldness)}") from None


def least_coldness(dtype: str, score_error: Callable[[float], float]) -> float:
    """The least short T at which every computed gap still makes the softmax hard: T - 2 (score
    error) >= the format's gap.

    score_error: the largest score error at a coldness.
    """
    T = short(hard_gap(dtype))
    while (error := score_error(T)) < T / 4:
        enough = short(hard_gap(dtype) + 2 * error)
        if enough <= T:
            break
        T = enough  # less than hard_gap + T/2: T grows to twice the format's gap at most
    return T  # where the error is T/4 or more, the caller refuses this coldness


@dataclass(frozen=True)
class Recognition:
    """The gains of Recognize at a coldness, and what they were charged for."""

    tau: float
    far: float
    residual: float
    beta: float
    T0: float
    P2: float
    recognize_raise: float
    error: float


def recognition(
    spec: Spec,
    T: float,
    leak: Callable[[float, float, float], float],
    sink: Callable[[float, float], float],
) -> Recognition:
    """The gains by which a head attends to a token iff its task explains it, and to BOS if not.

    leak(tau, far, input_radius): how far the layers before can have moved a residual, in Euclidean
    norm. sink(third, input_radius): how far they can have moved BOS' own residual from 0, `third`
    being the weight N e^-3T of all losers at 3T.
    """
    tau = math.exp(-T)
    far = spec.tokens * tau**2
    input_radius, features, rounding = bounded_inputs(spec)
    moved = leak(tau, far, input_radius)
    residual = moved + rounding
    rho, delta = spec.tolerance + residual, spec.margin - residual
    if not rho < delta:
        raise Infeasible(
            f"coldness = {T:g} with margin = {spec.margin:g}: leak ({moved:.3g}) and rounding "
            f"({rounding:.3g}) of the residuals "
            f"must leave tolerance + charge = {rho:.3g} below margin - charge = {delta:.3g}"
        )
    # BOS is no exact sink: its own residual moves its score by at most beta times this, either way.
    shift = (2 * spec.radius + residual) * sink(far * tau, input_radius)
    room = delta**2 - rho**2 - 2 * shift
    if not room > 0:
        raise Infeasible(
            f"coldness = {T:g} with margin = {spec.margin:g}: the leak into BOS shifts squared "
            f"residuals by up to {shift:.3g}, twice which must stay below {delta**2 - rho**2:.3g}"
        )
    # A residual of at most rho wins by T, one of at least delta loses by T.
    beta = short(2 * T / room)
    T0 = beta * (rho**2 + shift) + T
    # Any other token, even with a residual opposite and of norm 2R, loses to BOS by 2T; and so does
    # every token where the layer has no business.
    opposite = beta * (2 * spec.radius + residual) ** 2
    P2 = short((opposite + beta * shift + T0 + 2 * T) / 2)
    recognize_raise = short(T0 + 2 * T + beta * shift)
    # Representability: products and sums of rank d + L + 2 on P2 L + beta |r_q| |r_k|, and BOS'
    # stored constant.
    L = spec.example_bits + spec.slot_bits
    error = gamma(spec.d + L + 4, spec.dtype) * (P2 * L + opposite + T0)
    # What underflows: in the query's residual, which is stored times beta, and in the products.
    error += (2 * spec.radius + residual) * residual_underflow(spec, features)
    error += underflow(spec.d + L + 2, 0.0, spec.dtype)
    return Recognition(tau, far, residual, beta, T0, P2, recognize_raise, error)


def check_rounding(spec: Spec, T: float, layer: str, error: float) -> None:
    """Refuse scores whose rounding would eat half of a gap."""
    if not error < T / 4:
        raise Infeasible(
            f"dtype = {spec.dtype} with margin = {spec.margin:g} and radius = {spec.radius:g}: the "
            f"scores of {layer} round by "
            f"up to {error:.3g}, which must stay below T/4 = {T / 4:.3g}"
        )


def largest_residual_score(spec: Spec, gains: CommonGains, charge: float) -> float:
    """The largest score of a Recognize head that weighs a residual, and of a partial sum on the way
    to it."""
    opposite = gains.beta * (2 * spec.radius + charge) ** 2
    position = gains.P2 * (spec.example_bits + spec.slot_bits)
    return position + opposite + gains.T0 + gains.recognize_raise * (spec.slot_bits + 2)


def check_representable(
    spec: Spec, gains: SelectionGains, scores: Mapping[str, float], factor: float
) -> None:
    """Refuse a Spec whose scores its dtype cannot hold: an error of T/4 would eat a gap's half, an
    inexact sum a tie.

    scores: by layer, the largest magnitude of a score, and of a partial sum on the way to it.
    factor: the largest gain that multiplies a task's matrix or bias in a stored weight. The
    positional and flag parts of scores are whole multiples of T/2^SHORT_BITS (of T/2^(SHORT_BITS +
    1) where a slot's bits are halved), hence exact while their largest multiple fits the
    significand; the rest rounds by the layer's score error.
    """
    for layer, error in gains.score_error:
        check_rounding(spec, gains.T, layer, error)
    exact = 2 / (2 ** (SHORT_BITS + 1) * unit_roundoff(spec.dtype))
    for layer, score in scores.items():
        if not math.isfinite(score) or score > largest(spec.dtype):
            raise Infeasible(
                f"dtype = {spec.dtype}: the scores of {layer} reach {score:.3g}, beyond the "
                "format's range"
            )
    entry = max(1.0, factor) * max(
        spec.weight_norm, spec.bias_norm, spec.feature_norm, spec.feature_bias_norm
    )
    if not entry <= largest(spec.dtype):
        raise Infeasible(
            f"dtype = {spec.dtype}: the weights reach {entry:.3g}, beyond the format's range"
        )
    if 2 * (spec.example_bits + spec.slot_bits + 6) > exact:
        raise Infeasible(
            f"dtype = {spec.dtype}: {spec.example_bits + spec.slot_bits} position bits exceed its "
            "exact sums"
        )


def feature_rounding(spec: Spec, input_radius: float) -> float:
    """Rounding of the features phi(x), in Euclidean norm: inputs so small that they are flushed to
    0, the sum slot's sum, then B x + c."""
    lifted = math.sqrt(spec.d) * smallest_normal(spec.dtype)
    if spec.sum_slot:
        lifted += gamma(spec.n + 4, spec.dtype) * spec.n * input_radius
        lifted += math.sqrt(spec.d) * underflow(spec.n, 0.0, spec.dtype)
    if not spec.features:
        return lifted
    dot = gamma(spec.d + 2, spec.dtype) * (
        math.sqrt(min(spec.d, spec.features)) * spec.feature_norm * input_radius
        + spec.feature_bias_norm
    )
    dot += math.sqrt(spec.features) * underflow(spec.d + 1, input_radius + 1, spec.dtype)
    return spec.feature_norm * lifted + dot


def residual_rounding(spec: Spec, input_radius: float) -> float:
    """Rounding of W_i f + b_i - y in Euclidean norm; its matrix is stored rounded, and once more
    times -beta."""
    features = spec.feature_norm * input_radius + spec.feature_bias_norm
    spread = math.sqrt(min(spec.d, spec.r))  # || |W| || <= sqrt(rank) ||W||
    dot = gamma(spec.r + 4, spec.dtype) * (
        spread * spec.weight_norm * features + spec.bias_norm + spec.radius
    )
    dot += residual_underflow(spec, features)
    return dot + spec.weight_norm * feature_rounding(spec, input_radius)


def residual_underflow(spec: Spec, features: float) -> float:
    """What W_i f + b_i - y, for features of that norm, can lose to underflow, in Euclidean norm."""
    return math.sqrt(spec.d) * underflow(spec.r + 2, features + 1 + spec.radius, spec.dtype)


def bounded_inputs(spec: Spec) -> tuple[float, float, float]:
    """The bound on inputs, the bound on features that follows, and the rounding of residuals under
    it.

    Without a bound from the caller: the largest for which rounding takes no more than its share of
    tolerance to margin.
    """
    room = (spec.margin - spec.tolerance) / ROOM
    if spec.input_radius is not None:
        input_radius = spec.input_radius
    else:
        fixed = residual_rounding(spec, 0.0)
        slope = residual_rounding(spec, 1.0) - fixed
        if not fixed < room:
            raise Infeasible(
                f"dtype = {spec.dtype}: residuals round by {fixed:.3g} even for zero inputs; that "
                f"must stay below {room:.3g}, "
                f"an eighth of margin - tolerance"
            )
        input_radius = (room - fixed) / slope if slope else math.inf
        if not math.isfinite(input_radius):  # all weights are 0: inputs do not matter
            input_radius = spec.radius
    return (
        input_radius,
        spec.feature_norm * input_radius + spec.feature_bias_norm,
        residual_rounding(spec, input_radius),
    )


def _way_out(spec: Spec, gains: Callable[[Spec], Any], coldness: Callable[[Spec], float]) -> str:
    """What would do, tried and not guessed: a wider margin, float64, a larger coldness."""

    def feasible(other: Spec) -> bool:
        try:
            gains(other)
        except (Infeasible, OverflowError):
            return False
        return True

    def candidates() -> Iterator[str]:
        ratio = spec.tolerance / spec.margin
        # No residual is longer than 2R. Search the few factors of two below it.
        margin = spec.margin
        while margin < 2 * spec.radius:
            margin = min(2 * margin, 2 * spec.radius)
            if feasible(replace(spec, margin=margin, tolerance=ratio * margin)):
                yield f"margin = {margin:.4g} would do"
                break
        if spec.dtype != "float64" and feasible(replace(spec, dtype="float64")):
            yield "dtype = 'float64' would do"
        if spec.coldness is not None and feasible(replace(spec, coldness=None)):
            yield f"coldness = {coldness(spec):g} would do (the default)"

    return "; ".join(candidates()) or "shrink K, d, the radius or the inputs"
