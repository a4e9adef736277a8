"""The record of Theorem 4 on unit vectors; the command is `python -m verify.theorem4 --vectors`."""

from construct import Spec
from construct.theorem4.vectors import FOUR, build
from construct.theorem4.vectors.gains import derive, largest_scores
from construct.theorem4.vectors.stream import embedding_bound
from proofs.theorem4 import vectors as proof
from verify.record import Theorem
from verify.theorem4 import THEOREM4
from verify.theorem4.vectors import (
    layer1_recognize,
    layer2_consistency,
    layer3_commit,
    layer4_posterior,
)
from verify.theorem4.vectors.definition import judge
from verify.theorem4.vectors.draw import draw_instance, draw_prompt
from verify.theorem4.vectors.lines import VectorLines


def _subspaces(spec: Spec) -> dict[str, int]:
    return {**THEOREM4.subspaces(spec), "said": spec.K, "soft": 1}


THEOREM4_VECTORS = Theorem(
    number=4,
    version="vectors",
    source="ours",
    statement="If task i answers with unit vectors W_i^(1) x, ..., W_i^(L) x, each an orthogonal "
    "matrix times one input, four layers with a causal mask, K heads in each and gated ReLU MLPs "
    "predict the next vector of every line of a prompt by sum_i omega_i W_i^(t) x, omega_i = m_i "
    "[task i says all vectors so far] / sum, m_i the examples before it that task i alone "
    "explains. Answers that are sampled task by task are distributed as the mixture sum_i (m_i/M) "
    "of the tasks' answers; if the mixture itself is fed back, flagged as such, omega stays m_i/M.",
    hypotheses=(
        "Inputs and what is said are unit vectors, up to (delta^2 - rho^2)/(16 L) in their squared "
        "norms; matrices are orthogonal, up to a third of that.",
        "On every line so far each task's residual, the norm over all its vectors, is at most rho "
        "or at least delta.",
        "What is fed back softly has a flag.",
        "Examples that no task or several explain are left out.",
    ),
    build=build,
    derive=derive,
    largest_scores=largest_scores,
    causal=True,
    layers=FOUR,
    lemmas=proof.FOUR,
    checks=(layer1_recognize, layer2_consistency, layer3_commit, layer4_posterior),
    proof=proof,
    width=lambda spec: THEOREM4.width(spec) + spec.K + 1,
    width_bound=embedding_bound,
    width_formula=lambda spec: "(S + 2) d + 5K + L + log2(mn) + 8",
    subspaces=_subspaces,
    judge=judge,
    exact=True,
    ideal=VectorLines,
    draw_instance=draw_instance,
    draw_prompt=draw_prompt,
    options=("ambiguous", "pure"),
    n=6,
    shown={"after a vector of one task": {"said": 1}},
)

__all__ = ["THEOREM4_VECTORS"]
