"""Verification bites: it rejects faults in the weights at the right layer, and faults in the
bounds."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from construct import Prompt, Transformer
from proofs.selection import Errors
from tests.mutants.__main__ import outcomes
from tests.mutants.suite import SUITES, Suite
from verify.draw import Instance, draw_instance, draw_prompt
from verify.ideal import Stream, flag, ideal_streams
from verify.oracle import judge

FIRST, SECOND, THIRD = SUITES


def _relabeled(matrix: str, pairs: Sequence[tuple[int, int]]) -> set[str]:
    return {f"{matrix} of heads {left} and {right} swapped" for left, right in pairs}


# Faults that change no answer, since they only exchange the heads of two tasks. Theorem 1: tasks 0,
# 1, 2 read one slot, and so do 3 and 4; heads that fetch from the same slot differ by their gates
# alone. Theorem 3: the same pairs; all of Balance's gates are 1/2, so its heads of one slot differ
# by their values alone.
EQUIVALENT = {
    1: {("fetch", name) for name in _relabeled("W_Q", ((0, 1), (1, 2), (3, 4)))},
    2: set(),
    3: {("balance", name) for name in _relabeled("W_V", ((0, 1), (1, 2), (3, 4)))},
}
# Where the count is written down: it must be what was counted.
TOLD = {1: "README.md", 2: "proofs/theorem2/README.md", 3: "proofs/theorem3/README.md"}


def _name(suite: Suite) -> str:
    return f"theorem{suite.theorem.number}"


@pytest.mark.parametrize("suite", SUITES, ids=_name)
def test_the_suite_itself_holds(suite: Suite) -> None:
    model = suite.build()
    assert suite.first_fault(model) is None
    # The model itself refuses none of the prompts, though they are at the edge of every hypothesis.
    for prompt in suite.prompts():
        model.trace(prompt, attention=False)


@pytest.mark.slow
@pytest.mark.parametrize("suite", SUITES, ids=_name)
def test_faults_in_the_weights_are_rejected_at_their_layer(suite: Suite) -> None:
    number, results = suite.theorem.number, list(outcomes(suite))
    survivors = {
        (outcome.fault.layer, outcome.fault.name) for outcome in results if outcome.blamed is None
    }
    assert survivors == EQUIVALENT[number]
    assert len(results) - len(survivors) >= 0.99 * len(results)
    told = (Path(__file__).parents[1] / TOLD[number]).read_text()
    assert f"{len(results)} faults" in told
    assert f"verification rejects {len(results) - len(survivors)}" in told
    misnamed = [outcome for outcome in results if outcome.blamed not in (None, outcome.fault.layer)]
    assert not misnamed


# Each lemma is held against what the run measured before its layer, so that no slack is inherited
# from earlier lemmas. By theorem, layer and source of error, the subspaces where it shows. Not
# listed: Theorem 1's Pair, Fetch and Commit and Theorem 3's Recognize add no rounding of their own
# (a single weight of 1 copies, a count is exact); what Theorem 3's Open and Correct leak is less
# than what they allow for an error of w, and Correct's rounding no more than the series' remainder.
SHOWS = [
    (
        FIRST,
        "leaks",
        {"lift": "x f", "pair": "y", "recognize": "z count", "commit": "z count", "fetch": "f"},
    ),
    (FIRST, "leaks", {"execute": "output", "superpose": "output"}),
    (
        FIRST,
        "rounds",
        {"lift": "x f", "recognize": "z count", "execute": "output", "superpose": "output"},
    ),
    (SECOND, "leaks", {"pair": "y q", "recognize": "output ok", "superpose": "output"}),
    (SECOND, "rounds", {"pair": "f h", "recognize": "output", "superpose": "output"}),
    (THIRD, "leaks", {"recognize": "w count", "tally": "w", "balance": "y"}),
    (THIRD, "rounds", {"tally": "w", "balance": "y", "open": "y"}),
]
TERMS = [
    (suite, layer, term, shows.split())
    for suite, term, layers in SHOWS
    for layer, shows in layers.items()
]


@pytest.mark.parametrize(
    ("suite", "layer", "term", "shows"),
    TERMS,
    ids=[f"{_name(suite)}-{layer}-{term}" for suite, layer, term, _ in TERMS],
)
def test_a_lemma_without_a_term_is_refuted(
    suite: Suite, layer: str, term: str, shows: list[str]
) -> None:
    dtype, coldness = ("float64", 12.0) if term == "leaks" else ("float32", None)
    one, checked = _case(suite, dtype, coldness, layer)
    model = suite.theorem.build(one.spec, one.tasks, one.feature_map)
    excess = {True: [], False: []}
    for prompt in checked:
        setting = suite.theorem.proof.setting(one.spec, prompt.tokens)
        measured = _measured(suite, model, one, prompt)
        index = [name for name, _ in setting.gains.score_error].index(layer)
        before, after = measured[index], measured[index + 1]
        for whole in (True, False):
            # A leak of ok is Theorem 2's alone, and paid where it is read.
            known = before if whole or term == "rounds" else replace(before, ok=0.0)
            bound = suite.theorem.lemmas[index].lemma(
                setting if whole else replace(setting, **{term: False}), known
            )
            excess[whole] += [getattr(after, name) - getattr(bound, name) for name in shows]
    assert max(excess[True]) <= 0, "the lemma holds"
    assert max(excess[False]) > 0, "without the term it does not"


def _measured(suite: Suite, model: Transformer, one: Instance, prompt: Prompt) -> list[Errors]:
    """The errors of every subspace before the first layer and after each, as the run had them."""
    spec, theorem = one.spec, suite.theorem
    verdict = judge(one.tasks, prompt, spec.tolerance, spec.margin, one.feature_map, spec.sum_slot)
    trace = model.trace(prompt, attention=False)
    streams = ideal_streams(
        theorem.checks, spec, one.tasks, prompt, verdict, blocks=theorem.blocks(spec)
    )
    known = {*model.residual.names, *(alias for alias, _ in model.residual.aliases)}
    keys = [key for key in ("x", "f", "q", "h", "w", "y", "z", "count", "ok") if key in known]
    measured = []
    for name, ideal in zip(trace.streams, streams, strict=True):
        # The stream says where an alias of its own is; the ideal one has no second name for q.
        off = {
            key: trace.read(name, key).astype(float) - ideal[key if key in ideal else "q"]
            for key in keys
        }
        errors = {key: _size(key, array) for key, array in off.items()}
        outputs = off["y"][_holds_output(suite, name, ideal)]
        measured.append(Errors(**errors, output=np.abs(outputs).max(initial=0)))
    return measured


def _size(key: str, off: np.ndarray) -> float:
    """An error as the lemmas measure it: in Euclidean norm, summed over tasks, or in max norm."""
    if key in ("x", "f", "q", "h"):
        return float(np.linalg.norm(off, axis=1).max())
    return float(np.abs(off).sum(1).max() if key == "w" else np.abs(off).max())


def _holds_output(suite: Suite, layer: str, ideal: Stream) -> np.ndarray:
    """Where y is an output: the answer token at the end, before it the committed labels, or inputs
    in Theorem 2."""
    answer = flag(ideal, "qry") & ~flag(ideal, "inp")
    if layer == "superpose" or suite is THIRD:
        return answer
    return flag(ideal, "ok") & flag(ideal, "lab" if suite is FIRST else "inp")


def _case(
    suite: Suite, dtype: str, coldness: float | None, layer: str
) -> tuple[Instance, Sequence[Prompt]]:
    """The suite's own instance where features are in question; else one of few examples, whose mean
    hides no rounding."""
    if layer == "lift" or (suite is SECOND and layer == "pair"):
        return suite.make(dtype, coldness), suite.prompts(dtype, coldness)
    rng = np.random.default_rng(5)
    drawn = draw_instance(
        rng, K=4, d=6, m=11, n=3, dtype=dtype, coldness=coldness, sphere=suite is THIRD
    )
    sizes = (1, 3, 5, 11) if suite is FIRST else (3, 11)
    prompts = [draw_prompt(rng, drawn, examples=examples) for examples in sizes for _ in range(6)]
    return drawn, [_stored(prompt) for prompt in prompts] if suite is THIRD else prompts


def _stored(prompt: Prompt) -> Prompt:
    """The prompt as float32 holds it, on the inside of the sphere: the rounding of x, which all
    gates amplify, is then none."""
    return Prompt(
        *(
            (0.999999 * part).astype("float32")
            for part in (prompt.inputs, prompt.labels, prompt.query)
        )
    )
