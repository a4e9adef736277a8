"""The gains of Theorem 4's four layers, each a formula of the Spec beside the lemma that needs it.
Ours.

All scores are whole multiples of T, hence exact. What decides between tasks are two MLPs with dead
zones: Recognize turns the weight of a word into 0 or 1, Consistency a mean of these. Leak and
rounding must fit into the dead zones, or the Spec is refused.
"""

import math
from dataclasses import dataclass

from construct.floats import SHORT_BITS, gamma, hard_gap, short, unit_roundoff
from construct.gains import Infeasible, SelectionGains, check_representable, derived
from construct.spec import Spec
from construct.words import faint, input_slots, line_scale, match_slope

LAYERS = ("recognize", "consistency", "commit", "posterior")

# A unit of the MLPs of Recognize and Posterior adds four numbers, of sizes 1, 1, 1 and 2: it rounds
# by gamma_4 of their sum.
UNIT_ROUNDINGS, UNIT_SIZE = 4, 5


@dataclass(frozen=True, kw_only=True)
class LineGains(SelectionGains):
    """What the gains of both versions tell, on words and on vectors. committed: Posterior's gain on
    ok."""

    committed: float


@dataclass(frozen=True, kw_only=True)
class Gains(LineGains):
    """Every gain of the construction, and the charges that its lemmas pay.

    slope: of Recognize's MLP, which turns a word's weight of 1/slope or more into 1. scale: a power
    of two above L; Consistency's dead zones are 1/(4 scale) wide. word: how far a fetched or
    generated word's weight can fall short. stray: the weight that a word can have that nobody says.
    mean: how far the mean g of a line can be off."""

    slope: float
    scale: float
    word: float
    stray: float
    mean: float


def derive(spec: Spec) -> Gains:
    """The gains of a Spec. Raises Infeasible (a ValueError) with the reason and a dtype or coldness
    that would do, ValueError for a Spec without input slots."""
    return derived(spec, _gains, default_coldness)


def default_coldness(spec: Spec) -> float:
    """The least coldness that makes every head's softmax hard: no score rounds."""
    return short(hard_gap(spec.dtype))


def _gains(spec: Spec) -> Gains:
    S = input_slots(spec)
    T = default_coldness(spec) if spec.coldness is None else short(spec.coldness)
    hard = hard_gap(spec.dtype) <= T
    slope, scale = match_slope(spec.m), line_scale(spec.L)
    tau, far = _leaks(spec, T)

    # Lemma 1: of a soft word the weight 1/m must stay above 1/slope, less the fetch's leak, and
    # what an earlier step left of it.
    word = max(fetch_leak(spec, tau, far), step_leak(spec, tau, far) + step_rounding(spec, hard))
    if not word <= 1 / (4 * spec.m):
        raise Infeasible(
            f"coldness = {T:g} with m = {spec.m}: a word of the mixture loses up to {word:.3g} of "
            f"its weight, which must stay below 1/(4m) = {1 / (4 * spec.m):.3g}"
        )
    # Lemma 4: the words that nobody says must stay so faint that they count as not said.
    stray = step_stray(spec, far)
    if not stray <= faint(spec):
        raise Infeasible(
            f"coldness = {T:g}: words that no task says keep up to {stray:.3g} of the weight, "
            f"which must stay below {faint(spec):.3g}"
        )
    # Lemma 2: the mean must stay inside the dead zones.
    mean = mean_leak(spec, tau, far) + match_leak(spec, far)
    mean += mean_rounding(spec, hard) + match_rounding(spec)
    if not mean <= 1 / (4 * scale):
        raise Infeasible(
            f"coldness = {T:g} with L = {spec.L}, m = {spec.m}: the mean over a line is off by up "
            f"to {mean:.3g}, which must stay below {1 / (4 * scale):.3g}"
        )
    gains = Gains(
        T=T,
        hard=hard,
        score_error=tuple(dict.fromkeys(LAYERS, 0.0).items()),
        input_radius=1.0,
        slope=slope,
        scale=scale,
        committed=3 * T * (spec.K + 2),
        word=word,
        stray=stray,
        mean=mean,
    )
    check_representable(spec, gains, largest_scores(spec, gains), slope)
    # Posterior's score is a sum of multiples of T, which has SHORT_BITS significant bits.
    multiples = largest_scores(spec, gains)["posterior"] / T
    exact = 1 / (2 ** (SHORT_BITS + 1) * unit_roundoff(spec.dtype))
    if multiples > exact:
        raise Infeasible(
            f"dtype = {spec.dtype} with K = {spec.K}: Posterior's scores reach {multiples:.0f} T, "
            f"and sums are exact up to {exact:.0f} T"
        )
    assert S >= 1
    return gains


def _leaks(spec: Spec, T: float) -> tuple[float, float]:
    """The weights of a loser at T, and of all at 2T, computed: exp rounds by a few units."""
    tau = math.exp(-T) * (1 + gamma(8, spec.dtype))
    return tau, spec.tokens * tau**2


def largest_scores(spec: Spec, gains: Gains) -> dict[str, float]:
    """The largest magnitude of a score, and of a partial sum on the way to it, that each layer can
    produce."""
    T, e, L = gains.T, spec.example_bits, spec.example_bits + spec.slot_bits
    return {
        "recognize": T * (L + 3),
        "consistency": T * (e + 3),
        "commit": 0.0,
        "posterior": posterior_score(spec, T),
    }


def posterior_score(spec: Spec, T: float) -> float:
    """The largest partial sum of one of Posterior's scores: a key with all K tasks in c and ok = 0
    asks most."""
    return 3 * T * (spec.K + 2) + 3 * T * (2 * spec.K + 2) + 10 * T


def fetch_leak(spec: Spec, tau: float, far: float) -> float:
    """Lemma 1: how far a fetched input can be from exact, in max norm: BOS is T behind and holds 0,
    all else 2T."""
    return tau + far


def match_leak(spec: Spec, far: float, soft: bool = True) -> float:
    """Lemma 1: what a word can add to w for a task that does not say it: the slope times what
    leaked into the fetched input, and of a soft word what it holds faintly beside."""
    return match_slope(spec.m) * (far + (faint(spec) if soft else 0.0))


def match_rounding(spec: Spec) -> float:
    """Lemma 1: rounding of w: two units, times the slope."""
    return 2 * match_slope(spec.m) * gamma(UNIT_ROUNDINGS + 2, spec.dtype) * UNIT_SIZE


def mean_leak(spec: Spec, tau: float, far: float) -> float:
    """Lemma 2: how far g can be from the mean of w: BOS and the own inputs are T behind and hold 0,
    all else 2T."""
    return (input_slots(spec) + 1) * tau + far


def mean_rounding(spec: Spec, hard: bool) -> float:
    """Lemma 2: rounding of a mean of L + 1 numbers of at most 1 or so."""
    return 2 * gamma(spec.L + 4 + (0 if hard else 2 * spec.tokens), spec.dtype)


def step_leak(spec: Spec, tau: float, far: float) -> float:
    """Lemma 4: how far the next word's distribution can be from the law, summed over words: the
    posterior's leak, and for each task that of its fetched input."""
    return (spec.K + 1) * (tau + 2 * far)


def step_stray(spec: Spec, far: float) -> float:
    """Lemma 4: the weight of all words together that no task in the posterior says: tasks whose
    posterior is 0 keep 2T or more, and so do inputs that were not fetched. A unit that should be
    shut rounds, if at all, relative to what leaked into it."""
    return (spec.K + 1) * far * (1 + UNIT_SIZE)


def step_rounding(spec: Spec, hard: bool) -> float:
    """Lemma 4: rounding of the next word's distribution, summed over words: the posterior's mean,
    and for each of K tasks a unit and its place in the sum."""
    blocks = 2 * (math.isqrt(spec.tokens - 1) + 1)
    posterior = gamma(blocks + 3 + (0 if hard else 2 * spec.tokens), spec.dtype)
    units = spec.K * gamma(UNIT_ROUNDINGS, spec.dtype) * UNIT_SIZE
    fetched = 0.0 if hard else spec.K * gamma(spec.tokens + 3, spec.dtype)
    return posterior + units + fetched + 2 * gamma(spec.K + 2, spec.dtype)
