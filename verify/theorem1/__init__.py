"""The record of Theorem 1: seven layers; the command is `python -m verify.theorem1`."""

import math

from construct import Spec
from construct.theorem1 import SEVEN, build
from construct.theorem1.gains import derive, largest_scores
from construct.theorem1.stream import embedding_bound
from proofs import theorem1 as proof
from verify.record import BOUNDED, DECIDED, Theorem
from verify.theorem1 import (
    layer1_lift,
    layer2_pair,
    layer3_recognize,
    layer4_commit,
    layer5_fetch,
    layer6_execute,
    layer7_superpose,
)
from verify.theorem1.weights import check_weights


def _width(spec: Spec) -> int:
    return (
        2 * spec.d
        + spec.features
        + math.ceil(math.log2(spec.m + 1))
        + math.ceil(math.log2(spec.n))
        + 9
        + spec.sum_slot
    )


THEOREM1 = Theorem(
    number=1,
    source="Xiong et al., 2024; layers, lemmas and bounds are ours",
    statement="A seven layer transformer with embedding dimension O(d + log(mn)) with K heads per "
    "attention layer can perform K "
    "tasks on vectors of dimension d in superposition, with weighting based on m different "
    "in-context examples each of length n.",
    hypotheses=(
        BOUNDED,
        DECIDED,
        "A sum slot is blank. Examples that no task or several explain are left out.",
    ),
    build=build,
    derive=derive,
    largest_scores=largest_scores,
    layers=SEVEN,
    lemmas=proof.SEVEN,
    checks=(
        layer1_lift,
        layer2_pair,
        layer3_recognize,
        layer4_commit,
        layer5_fetch,
        layer6_execute,
        layer7_superpose,
    ),
    proof=proof,
    width=_width,
    width_bound=embedding_bound,
    width_formula=lambda spec: f"2d + r + log2(mn) + {11 + spec.sum_slot}",
    subspaces=lambda spec: {"z": 2, "count": 1},
    check_weights=check_weights,
    options=("features", "sum_slot", "ambiguous"),
)
