"""The record of Theorem 3: five causal layers; the command is `python -m verify.theorem3`."""

import math

from construct import Spec
from construct.theorem3 import FIVE, build
from construct.theorem3.gains import derive, largest_scores
from construct.theorem3.stream import embedding_bound
from proofs import theorem3 as proof
from verify.record import BOUNDED, DECIDED, Theorem
from verify.theorem3 import (
    layer1_recognize,
    layer2_tally,
    layer3_balance,
    layer4_open,
    layer5_correct,
)


def _width(spec: Spec) -> int:
    return 2 * spec.d + spec.K + math.ceil(math.log2(spec.m + 1)) + math.ceil(math.log2(spec.n)) + 7


THEOREM3 = Theorem(
    number=3,
    source="ours",
    statement="If labels and outputs have norm 1, five layers with a causal mask and K heads in "
    "each leave the task vector "
    "w = (m_i/M)_i in the answer token after the second, and sum_i (m_i/M) g_i(X) after the last, "
    "X the query.",
    hypotheses=(
        BOUNDED,
        DECIDED,
        "Labels, and outputs on the examples' inputs in the task's slot, have norm 1: squares "
        "within (delta^2 - rho^2)/16 of 1.",
        "phi is the identity. Examples that no task or several explain are left out.",
    ),
    build=build,
    derive=derive,
    largest_scores=largest_scores,
    causal=True,
    layers=FIVE,
    lemmas=proof.FIVE,
    checks=(layer1_recognize, layer2_tally, layer3_balance, layer4_open, layer5_correct),
    proof=proof,
    width=_width,
    width_bound=embedding_bound,
    width_formula=lambda spec: "2d + K + log2(mn) + 9",
    subspaces=lambda spec: {"w": spec.K, "count": 1},
    options=("ambiguous", "pure", "agree"),
    drawn={"sphere": True},
)
