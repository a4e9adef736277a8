"""The gains of Theorem 1's seven layers, each a formula of the Spec beside the lemma that needs it.

Three conditions decide whether a Spec has a transformer. *Admissible*: what leaks at coldness T
fits into the margins that pay for it. *Representable*: the scores' rounding stays below a quarter
of T. *Room*: the rounding of Recognize's residuals fits between tolerance and margin. `derive`
returns the gains or raises one ValueError that names the condition and the way out. Ours;
`proofs/README.md` proves each lemma.
"""

import math
from dataclasses import dataclass

from construct.floats import gamma, hard_gap, short, unit_roundoff
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
from construct.residual import code_gap
from construct.spec import Spec

# How far a cosine or sine of a task code can be off before it is stored. Its angle 2 pi i/K is
# computed in float64 whatever the dtype, with pi (off by less than u/2), a product and a quotient:
# 5/2 roundings of at most 2 pi, less than 16u; the cosine itself rounds once more.
CODE_ANGLE = 17 * unit_roundoff("float64")

LAYERS = ("lift", "pair", "recognize", "commit", "fetch", "execute", "superpose")


@dataclass(frozen=True, kw_only=True)
class Gains(CommonGains):
    """Every gain of the construction, and the charges that its lemmas pay.

    T: coldness. tau: e^-T, the softmax weight of a loser at distance T. far: N e^-2T, all losers at
    2T together. hard: every computed gap makes a loser's weight exactly 0. score_error: by layer,
    how far a computed score difference can be from the exact one. input_radius: the bound on
    inputs. Charges: `residual` (leak and rounding of a residual norm), `count` and `code` (of the
    label's count and task code).
    """

    tau: float
    far: float
    feature_radius: float
    residual: float
    count: float
    code: float
    # Recognize
    # Fetch and Execute
    G: float
    threshold: float
    abstain: float
    elsewhere: float


def derive(spec: Spec) -> Gains:
    """The gains of a Spec. Raises Infeasible (a ValueError) with the reason and a margin or dtype
    that would do."""
    return derived(spec, _gains, default_coldness)


def default_coldness(spec: Spec) -> float:
    """The least coldness that makes every head's softmax hard."""
    return least_coldness(spec.dtype, lambda T: _recognition(spec, T).error)


def _recognition(spec: Spec, T: float) -> Recognition:
    # Lift and Pair leak into the residual that Recognize squares (Lemmas 1 and 2): a label that is
    # off acts like noise.
    # Their scores are exact, so that their softmax is hard from the format's own gap on; below,
    # their weights round too.
    soft = hard_gap(spec.dtype) > T

    def leak(tau: float, far: float, input_radius: float) -> float:
        x, y = lift_leak(spec, tau, far, input_radius), pair_leak(spec, tau, far)
        if soft:
            y += gamma(spec.tokens + 3, spec.dtype) * spec.radius
        if soft and spec.sum_slot:
            summed = gamma(spec.n + 4 + 2 * spec.tokens, spec.dtype)
            x += summed * (spec.n - 2) * input_radius
        return y + spec.weight_norm * spec.feature_norm * x

    return recognition(
        spec, T, leak, lambda third, input_radius: sink_residual_leak(spec, third, input_radius)
    )


def _gains(spec: Spec) -> Gains:
    T = default_coldness(spec) if spec.coldness is None else short(spec.coldness)
    third = _recognition(spec, T)
    check_rounding(spec, T, "recognize", third.error)
    hard = T - 2 * third.error >= hard_gap(spec.dtype)
    input_radius, feature_radius, _ = bounded_inputs(spec)

    # Lemma 4: the leaks of Recognize, gathered, must stay on the plateaus of Commit's trapezoid.
    # What any token holds by mistake leaked in Recognize, whose scores err.
    leaked = math.exp(-(T - 2 * third.error))
    wrong, misplaced = recognize_leak(spec, leaked), 3 * spec.tokens * leaked**2
    shrink = 2 * third.tau + third.far
    rounding = code_rounding(spec, hard)
    count = wrong + 2 * shrink + spec.K * misplaced + 2 * rounding
    if not (count < 1 / 4 and shrink <= 1 / 8):
        raise Infeasible(
            f"coldness = {T:g}: the count of explaining tasks leaks {count:.3g}, which must stay "
            "below 1/4"
        )

    # Lemmas 5 and 6: the leak of the task code is paid by the gap between neighboring codes.
    # Misplaced weights of [0, tau] on the codes add up to no more than tau times the longest sum of
    # codes; one is the own.
    sums = longest_code_sum(spec.K) + 1
    code = sums * wrong / spec.K + shrink + sums * misplaced + rounding
    gap = code_gap(spec.K)
    if not 2 * code < gap:
        raise Infeasible(
            f"coldness = {T:g} with K = {spec.K}: the task code is off by up to {code:.3g}, twice "
            "which must stay below the gap "
            f"{gap:.3g} between neighboring codes"
        )
    G = short(2 * T / (gap - 2 * code))
    threshold = T + G * code
    # A token that is no label but has ok = 1 has at most its own code: it loses to BOS by 2T in
    # that code's head too.
    elsewhere = short(threshold + 2 * T + G * code)
    # A token that is not committed can hold any sum of codes; its ok is 0 up to the rounding of
    # Commit's trapezoid.
    stray = shrink + misplaced + code_rounding(spec, hard, spec.K)
    longest = longest_code_sum(spec.K) + wrong + spec.K * stray
    abstain = short((threshold + 2 * T + G * max(longest - 1, 0)) / (1 - ok_rounding(spec)))
    gate_error = gamma(4, spec.dtype) * (threshold + 4 * T)
    score_error = dict.fromkeys(LAYERS, 0.0) | {
        "recognize": third.error,
        "fetch": gate_error,
        "execute": gate_error,
    }
    # The ok of an abstained label is 0 up to its rounding, and Superpose scores 3T times it.
    score_error["superpose"] = 3 * T * ok_rounding(spec)
    gains = Gains(
        T=T,
        tau=third.tau,
        far=third.far,
        hard=hard,
        score_error=tuple(score_error.items()),
        input_radius=input_radius,
        feature_radius=feature_radius,
        residual=third.residual,
        count=count,
        code=code,
        beta=third.beta,
        T0=third.T0,
        P2=third.P2,
        recognize_raise=third.recognize_raise,
        G=G,
        threshold=threshold,
        abstain=abstain,
        elsewhere=elsewhere,
    )
    check_representable(spec, gains, largest_scores(spec, gains), gains.beta)
    return gains


def largest_scores(spec: Spec, gains: Gains) -> dict[str, float]:
    """The largest magnitude of a score, and of a partial sum on the way to it, that each layer can
    produce."""
    T, e = gains.T, spec.example_bits
    L = e + spec.slot_bits
    gate = (
        gains.threshold
        + gains.G * (1 + longest_code_sum(spec.K) + spec.K)
        + gains.abstain
        + gains.elsewhere
    )
    return {
        "lift": T * (e + 3),  # BOS for a token that is no sum slot
        "pair": T * (e + 6),  # BOS for the answer token, where one - inp + qry = 2
        "recognize": largest_residual_score(spec, gains, gains.residual),
        "commit": T * (e + 3),
        "fetch": 2 * T * L + gate,
        "execute": 2 * T * L + gate,
        "superpose": 6 * T,  # a key that is an input: ok - inp - one = -2
    }


def lift_leak(spec: Spec, tau: float, far: float, input_radius: float) -> float:
    """Lemma 1: how far a token's x can be from exact after Lift, in Euclidean norm (0 without a sum
    slot)."""
    own = 2 * (3 * tau + far) * input_radius if spec.sum_slot else 0.0
    return max(own, lift_strays(spec, far, input_radius))


def pair_leak(spec: Spec, tau: float, far: float) -> float:
    """Lemma 2: how far a token's y can be from exact after Pair, in Euclidean norm."""
    return spec.radius * (spec.n * tau + 2 * far)


def lift_strays(spec: Spec, weight: float, input_radius: float) -> float:
    """Lemma 1: how far x can be from 0 after Lift where keys of this weight in all are strays, in
    Euclidean norm (0 without a sum slot)."""
    return (spec.n - 2) * weight * input_radius if spec.sum_slot else 0.0


def sink_residual_leak(spec: Spec, third: float, input_radius: float) -> float:
    """Lemmas 1 and 2: how far BOS' residual in any task can be from 0 when Recognize reads it.

    third: N e^-3T. BOS has no code, so that no key's example counts for it: it idles by 3T.
    """
    features = spec.feature_norm * lift_strays(spec, third, input_radius)
    return spec.weight_norm * features + spec.radius * third


def recognize_leak(spec: Spec, tau: float) -> float:
    """Lemma 3: the weights that all heads misplace over one example: K heads in their own slots,
    the rest 2T behind."""
    return spec.K * (tau + spec.n * spec.tokens * tau**2)


def longest_code_sum(K: int) -> float:
    """The longest sum of distinct task codes, of which an abstained label can hold any: a half
    circle of them.

    1/sin(pi/K) for even K, 1/(2 sin(pi/2K)) for odd K > 1, and 1 for K = 1.
    """
    if K == 1:
        return 1.0
    return 1 / math.sin(math.pi / K) if K % 2 == 0 else 1 / (2 * math.sin(math.pi / (2 * K)))


def ok_rounding(spec: Spec) -> float:
    """How far from 0 the computed ok of a count of 2 to K can be: two of the trapezoid's three sums
    round, on at most 4K."""
    return 8 * spec.K * unit_roundoff(spec.dtype) if spec.K > 1 else 0.0


def softmax_roundings(spec: Spec, hard: bool) -> int:
    """Roundings of a softmax weight: one division if every loser underflows to exactly 0, else a
    sum over all tokens too."""
    return 1 if hard else 1 + spec.tokens


def code_rounding(spec: Spec, hard: bool, codes: int = 1) -> float:
    """Rounding of <z, c_i>, relative to the number of codes that a label holds, one where it is
    committed.

    The stored code (1), Recognize's and Commit's weights and values, the sum of so many codes, or
    of all heads' over all inputs where none of them is exactly 0; then two products, two sums and
    the stored -G c_i on the gate's side. And the angles of both codes, 2 sqrt(2) of them.
    """
    sums = codes - 1 if hard else spec.K + spec.n
    return gamma(13 + 2 * softmax_roundings(spec, hard) + sums, spec.dtype) + 3 * CODE_ANGLE
