"""The record of Theorem 4: four causal layers that generate; the command is `python -m
verify.theorem4`."""

import math
from typing import Any

from construct import Spec
from construct.theorem4 import FOUR, build
from construct.theorem4.gains import derive, largest_scores
from construct.theorem4.stream import embedding_bound
from construct.words import input_slots
from proofs import theorem4 as proof
from verify.record import Theorem
from verify.theorem4 import (
    definition,
    layer1_recognize,
    layer2_consistency,
    layer3_commit,
    layer4_posterior,
)
from verify.theorem4.draw import draw_instance, draw_prompt
from verify.theorem4.lines import Lines


def _width(spec: Spec) -> int:
    S = input_slots(spec)
    codes = math.ceil(math.log2(spec.m + 1)) + math.ceil(math.log2(spec.n))
    return (S + 2) * spec.d + 4 * spec.K + spec.L + 5 + codes


def _judge(spec: Spec, tasks: Any, prompt: Any, feature_map: Any = None) -> definition.Verdict:
    return definition.judge(tasks, prompt, spec.m, spec.fallback)


THEOREM4 = Theorem(
    number=4,
    source="ours",
    statement="If task i answers with words g_i^(1), ..., g_i^(L), each a function of one input "
    "word, four layers with a causal mask, K heads in each and ReLU MLPs predict the next word of "
    "every line of a prompt by sum_i omega_i e(g_i^(t)), omega_i = m_i [task i says all words so "
    "far] / sum, m_i the examples before it that task i alone explains. A sampled answer is "
    "distributed as the mixture sum_i (m_i/M) of the tasks' answers; if the mixture itself is fed "
    "back, omega stays m_i/M.",
    hypotheses=(
        "Inputs, answers and the words said so far are words of the d, or blank.",
        "A soft word's weights are 0 or at least 1/m, and sum to at most 1.",
        "Under superposed decoding every task with examples says a word at every step: one that "
        "does not drops out.",
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
    width=_width,
    width_bound=embedding_bound,
    width_formula=lambda spec: "(S + 2) d + 4K + L + log2(mn) + 7",
    subspaces=lambda spec: {
        "own": input_slots(spec) * spec.d,
        **dict.fromkeys(("w", "g", "c", "omega"), spec.K),
    },
    judge=_judge,
    exact=True,
    ideal=Lines,
    draw_instance=draw_instance,
    draw_prompt=draw_prompt,
    options=("ambiguous", "pure"),
    n=6,
    shown={"after a word of one task": {"said": 1}},
)
