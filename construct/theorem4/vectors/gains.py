"""The gains of Theorem 4's four layers on vectors, each a formula of the Spec beside the lemma that
needs it. Ours.

One decision is made off real numbers: after t vectors of a line, g_i = 1 - r^2/(2 (t + 1)) must
tell a residual r of at most rho from one of at least delta. Squared norms may be off by
`construct.vectors.norm_tolerance`, of which 2t take at most a quarter of delta^2 - rho^2; leak and
rounding of g must leave room in what is left.
"""

import math
from dataclasses import dataclass

from construct.floats import gamma, hard_gap, short
from construct.gains import Infeasible, check_representable, check_rounding, derived, least_coldness
from construct.spec import Spec
from construct.theorem4.gains import LineGains, posterior_score
from construct.vectors import norm_tolerance
from construct.words import input_slots


@dataclass(frozen=True, kw_only=True)
class Gains(LineGains):
    """Every gain of the construction, and the charges that its lemmas pay.

    decide: lambda, Commit's gain on g. mean: how far g can be off. said: how far what Commit's
    heads say can be from 0 or 1, ok: how far ok can be in floats."""

    decide: float
    mean: float
    said: float
    ok: float

    def spread(self, layer: str) -> float:
        """How far apart the winners' scores can be: only Posterior's read what may round."""
        return 2 * self.committed * self.ok if layer == "posterior" else 0.0


def derive(spec: Spec) -> Gains:
    """The gains of a Spec. Raises Infeasible (a ValueError) with the reason and a margin, dtype or
    coldness that would do, ValueError for a Spec without input slots."""
    return derived(spec, _gains, default_coldness)


def default_coldness(spec: Spec) -> float:
    """The least coldness that makes every head's softmax hard."""
    return least_coldness(spec.dtype, lambda T: decision(spec, T).error)


@dataclass(frozen=True)
class Decision:
    """Commit's gain at a coldness, what it was charged for, and by how much its scores round."""

    mean: float
    decide: float
    error: float


def decision(spec: Spec, T: float) -> Decision:
    """The gain by which Commit's heads decide by T: T over half of the gap that leak and rounding
    leave between a mean that a task reaches and one that it does not."""
    tau, far, hard = *leaks(spec, T, 0.0), hard_gap(spec.dtype) <= T
    mean = mean_error(spec, tau, far, hard)
    room = narrow(spec) - mean
    if not room > 0:
        raise Infeasible(
            f"coldness = {T:g} with margin = {spec.margin:g} and L = {spec.L}: the mean over a "
            f"line is off by up to {mean:.3g}, which must stay below {narrow(spec):.3g} = 3 "
            "(margin^2 - tolerance^2)/(16 (L + 1))"
        )
    decide = short(T / room)
    # The threshold's and the mean's coefficients are stored rounded, and two products are summed;
    # then what BOS scores is a sum of two.
    longest = decide * (1 + largest_mean(spec, mean))
    bits = spec.example_bits + spec.slot_bits
    error = gamma(4, spec.dtype) * longest + gamma(2, spec.dtype) * (T * bits + longest)
    return Decision(mean, decide, error)


def _gains(spec: Spec) -> Gains:
    T = short(default_coldness(spec) if spec.coldness is None else spec.coldness)
    found = decision(spec, T)
    check_rounding(spec, T, "commit", found.error)
    hard = T - 2 * found.error >= hard_gap(spec.dtype)
    tau, far = leaks(spec, T, found.error)
    said = said_error(spec, tau, far, hard)
    # With a hard softmax all numbers from here on are quarters or whole, and exact. Else Lemma 3's
    # count sums K verdicts, the constant and a flag, of sizes up to 1, K + 1 + 7/4 and K + 1.
    rounded = 0.0 if hard else gamma(spec.K + 2, spec.dtype) * (3 * spec.K + 4)
    count = spec.K * said + rounded
    if not count <= 1 / 4:
        raise Infeasible(
            f"coldness = {T:g} with K = {spec.K}: the count of tasks that say an answer is off by "
            f"up to {count:.3g}, which must stay below 1/4"
        )
    # On the trapezoid's plateau what is left is the rounding of four units, each times 2, and that
    # of their sum, of up to K each.
    ok = 8 * rounded + (0.0 if hard else 8 * spec.K * gamma(4, spec.dtype))
    committed = 3 * T * (spec.K + 2)
    # Lemma 4: a score that reads ok is off by that, and its K + 3 terms are summed.
    posterior = committed * ok
    if not hard:
        posterior += gamma(spec.K + 6, spec.dtype) * posterior_score(spec, T)
    gains = Gains(
        T=T,
        hard=hard,
        score_error=(
            ("recognize", 0.0),
            ("consistency", 0.0),
            ("commit", found.error),
            ("posterior", posterior),
        ),
        input_radius=math.sqrt(1 + norm_tolerance(spec)),
        committed=committed,
        decide=found.decide,
        mean=found.mean,
        said=said,
        ok=ok,
    )
    check_representable(spec, gains, largest_scores(spec, gains), 2.0)
    return gains


def leaks(spec: Spec, T: float, error: float) -> tuple[float, float]:
    """The weights of a loser at T, and of all at 2T, computed: scores are off by an error each, and
    exp rounds by a few units."""
    tau = math.exp(-(T - 2 * error)) * (1 + gamma(8, spec.dtype))
    tau = math.nextafter(tau, math.inf)
    return tau, math.nextafter(spec.tokens * tau**2, math.inf)


def longest_vector(spec: Spec) -> float:
    """X: no input, answer or output of a task is longer."""
    return math.sqrt(1 + norm_tolerance(spec))


def middle(spec: Spec) -> float:
    """(rho^2 + delta^2)/4: after t vectors this over t + 1 is how far below 1 the threshold of g
    is, in the middle between what residuals of rho and of delta leave."""
    return (spec.tolerance**2 + spec.margin**2) / 4


def narrow(spec: Spec) -> float:
    """The least distance of a mean from its threshold before leak and rounding, at t = L: a quarter
    of delta^2 - rho^2, less 2L norms off, over L + 1."""
    squares = spec.margin**2 - spec.tolerance**2
    return (squares / 4 - spec.L * norm_tolerance(spec)) / (spec.L + 1)


def own_leak(spec: Spec, tau: float, far: float) -> float:
    """Lemma 1: how far a fetched input can be off, in Euclidean norm: it lacks what losers weigh,
    and those at 2T hold vectors."""
    return longest_vector(spec) * (tau + 2 * far)


def own_rounding(spec: Spec, hard: bool) -> float:
    """Lemma 1: rounding of a fetched input: stored once, and moved by weights that round where the
    softmax is not hard."""
    return longest_vector(spec) * gamma(1 if hard else spec.tokens + 4, spec.dtype)


def agreement_rounding(spec: Spec, hard: bool) -> float:
    """Lemma 1: rounding of w = <v, W own>: of its two vectors, of two gates a coordinate, which are
    sums of four numbers, of products with a matrix whose rows' norms sum to sqrt(d) at most, and of
    2d summands."""
    X, root = longest_vector(spec), math.sqrt(spec.d)
    gates = 2 * gamma(4, spec.dtype) * (X + 4) * root * X
    products = gamma(spec.d + 2, spec.dtype) * root * X**3
    summed = 2 * gamma(2 * spec.d + 2, spec.dtype) * X**2
    return X * (own_rounding(spec, hard) + X * gamma(1, spec.dtype)) + gates + products + summed


def agreement_error(spec: Spec, tau: float, far: float, hard: bool) -> float:
    """Lemma 1: how far w can be from the inner product of a vector with a task's own."""
    return longest_vector(spec) * own_leak(spec, tau, far) + agreement_rounding(spec, hard)


def largest_mean(spec: Spec, error: float) -> float:
    """The largest magnitude of w and of g."""
    return longest_vector(spec) ** 2 + error


def mean_leak(spec: Spec, tau: float, far: float) -> float:
    """Lemma 2: how far g can be from the mean of w for what leaks: BOS and the own inputs are T
    behind and hold 0, all else 2T, with values of at most 2: X^2 is at most 5/4, as margins are at
    most 2, and the error of w less than 3/8 where there is room for a decision."""
    return 2 * ((input_slots(spec) + 1) * tau + 2 * far)


def mean_rounding(spec: Spec, hard: bool) -> float:
    """Lemma 2: rounding of a mean of L + 1 numbers of at most 2."""
    return 2 * gamma(spec.L + 4 + (0 if hard else 2 * spec.tokens), spec.dtype)


def mean_error(spec: Spec, tau: float, far: float, hard: bool) -> float:
    """Lemma 2: how far g can be off in all."""
    own = agreement_error(spec, tau, far, hard)
    return own + mean_leak(spec, tau, far) + mean_rounding(spec, hard)


def said_error(spec: Spec, tau: float, far: float, hard: bool) -> float:
    """Lemma 3: how far a head's verdict can be from 0 or 1: the loser of the token itself and BOS
    is T behind, all else 2T."""
    return tau + far + (0.0 if hard else gamma(spec.tokens + 3, spec.dtype))


def largest_scores(spec: Spec, gains: Gains) -> dict[str, float]:
    """The largest magnitude of a score, and of a partial sum on the way to it, that each layer can
    produce."""
    T, e, L = gains.T, spec.example_bits, spec.example_bits + spec.slot_bits
    return {
        "recognize": T * (L + 3),
        "consistency": T * (e + 3),
        "commit": T * L + gains.decide * (1 + largest_mean(spec, gains.mean)),
        "posterior": posterior_score(spec, T),
    }
