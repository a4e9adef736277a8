"""The record of Theorem 2: three layers; the command is `python -m verify.theorem2`."""

import math

from construct import Spec
from construct.theorem2 import THREE, build
from construct.theorem2.gains import derive, largest_scores
from construct.theorem2.stream import embedding_bound
from proofs import theorem2 as proof
from verify.record import BOUNDED, DECIDED, Theorem
from verify.theorem2 import layer1_pair, layer2_recognize, layer3_superpose


def _width(spec: Spec) -> int:
    return (
        3 * spec.d
        + 2 * spec.features
        + math.ceil(math.log2(spec.m + 1))
        + math.ceil(math.log2(spec.n))
        + 6
    )


def _subspaces(spec: Spec) -> dict[str, int]:
    return {"q": spec.d} | ({"h": spec.features} if spec.features else {})


THEOREM2 = Theorem(
    number=2,
    source="ours",
    statement="If no example is explained by two tasks, three layers with K heads in each, and no "
    "MLP where phi is the identity, "
    "leave sum_i (m_i/M) g_i(X) in the answer token, X the query.",
    hypotheses=(
        BOUNDED,
        DECIDED,
        "No example is explained by two tasks. Examples that no task explains are left out.",
    ),
    build=build,
    derive=derive,
    largest_scores=largest_scores,
    layers=THREE,
    lemmas=proof.THREE,
    checks=(layer1_pair, layer2_recognize, layer3_superpose),
    proof=proof,
    width=_width,
    width_bound=embedding_bound,
    width_formula=lambda spec: "3d + 2r + log2(mn) + 8",
    subspaces=_subspaces,
    options=("features",),
)
