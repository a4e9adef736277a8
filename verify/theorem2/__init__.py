"""Checks of Theorem 2: three layers; the command is `python -m verify.theorem2`."""

import math

from construct import Spec
from construct.theorem2 import THREE, build
from construct.theorem2.gains import derive, largest_scores
from construct.theorem2.stream import embedding_bound
from proofs import theorem2 as proof
from verify.theorem import BOUNDED, DECIDED, Theorem
from verify.theorem2 import layer1_pair, layer2_recognize, layer3_superpose


def _width(spec: Spec) -> int:
    return (
        3 * spec.d
        + 2 * spec.features
        + math.ceil(math.log2(spec.m + 1))
        + math.ceil(math.log2(spec.n))
        + 6
    )


def _blocks(spec: Spec) -> dict[str, int]:
    return {"q": spec.d} | ({"h": spec.features} if spec.features else {})


THEOREM2 = Theorem(
    number=2,
    build=build,
    derive=derive,
    checks=(layer1_pair, layer2_recognize, layer3_superpose),
    lemmas=proof.THREE,
    proof=proof,
    largest_scores=largest_scores,
    width=_width,
    width_bound=embedding_bound,
    width_formula=lambda spec: "3d + 2r + log2(mn) + 8",
    blocks=_blocks,
    layers=THREE,
    source="ours",
    statement="If no example is explained by two tasks, three layers with K heads in each, and no "
    "MLP where phi is the identity, "
    "leave sum_i (m_i/M) g_i(X) in the answer token, X the query.",
    hypotheses=(
        BOUNDED,
        DECIDED,
        "No example is explained by two tasks. Examples that no task explains are left out.",
    ),
    ambiguity=False,
)
