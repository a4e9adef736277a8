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
from verify.ideal import ideal_streams
from verify.oracle import judge


def _name(suite: Suite) -> str:
    return f"theorem{suite.theorem.number}{suite.theorem.version}"


@pytest.mark.parametrize("suite", SUITES, ids=_name)
def test_the_suite_itself_holds(suite: Suite) -> None:
    model = suite.build()
    assert suite.first_fault(model) is None
    # The model itself refuses none of the prompts, though they are at the edge of every hypothesis.
    for prompt in suite.edge.prompts():
        model.trace(prompt, attention=False)


@pytest.mark.slow
@pytest.mark.parametrize("suite", SUITES, ids=_name)
def test_faults_in_the_weights_are_rejected_at_their_layer(suite: Suite) -> None:
    results = list(outcomes(suite))
    survivors = {
        (outcome.fault.layer, outcome.fault.name) for outcome in results if outcome.blamed is None
    }
    assert survivors == suite.edge.EQUIVALENT
    assert len(results) - len(survivors) >= 0.99 * len(results)
    told = (Path(__file__).parents[1] / suite.edge.TOLD_IN).read_text()
    assert f"{len(results)} faults" in told
    assert f"verification rejects {len(results) - len(survivors)}" in told
    misnamed = [outcome for outcome in results if outcome.blamed not in (None, outcome.fault.layer)]
    assert not misnamed


# Each lemma is held against what the run measured before its layer, so that no slack is inherited
# from earlier lemmas.
TERMS = [
    (suite, layer, term, shows.split())
    for suite in SUITES
    for term, layers in suite.edge.SHOWS.items()
    for layer, shows in layers.items()
]


@pytest.mark.slow
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
    streams = ideal_streams(theorem, spec, one.tasks, prompt, verdict)
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
        outputs = off["y"][suite.edge.holds_output(name, ideal)]
        measured.append(Errors(**errors, output=np.abs(outputs).max(initial=0)))
    return measured


def _size(key: str, off: np.ndarray) -> float:
    """An error as the lemmas measure it: in Euclidean norm, summed over tasks, or in max norm."""
    if key in ("x", "f", "q", "h"):
        return float(np.linalg.norm(off, axis=1).max())
    return float(np.abs(off).sum(1).max() if key == "w" else np.abs(off).max())


def _case(
    suite: Suite, dtype: str, coldness: float | None, layer: str
) -> tuple[Instance, Sequence[Prompt]]:
    """The suite's own instance where features are in question; else one of few examples, whose mean
    hides no rounding."""
    theorem, edge = suite.theorem, suite.edge
    if layer in edge.FEATURE_LAYERS:
        return edge.instance(dtype, coldness), edge.prompts(dtype, coldness)
    rng = np.random.default_rng(5)
    drawn = draw_instance(rng, K=4, d=6, m=11, n=3, dtype=dtype, coldness=coldness, **theorem.drawn)
    prompts = [
        draw_prompt(rng, drawn, examples=examples) for examples in edge.LENGTHS for _ in range(6)
    ]
    return drawn, [_stored(prompt) for prompt in prompts] if drawn.sphere else prompts


def _stored(prompt: Prompt) -> Prompt:
    """The prompt as float32 holds it, on the inside of the sphere: the rounding of x, which all
    gates amplify, is then none."""
    return Prompt(
        *(
            (0.999999 * part).astype("float32")
            for part in (prompt.inputs, prompt.labels, prompt.query)
        )
    )
