"""Theorem 4's error bounds: honest at every coldness, within a constant of what prompts show, and
no lemma holds without its leak or its rounding."""

from dataclasses import replace

import numpy as np
import pytest

from proofs import theorem4 as proof
from tests.errors import errors
from tests.mutants import theorem4 as edge
from verify.ideal import ideal_streams
from verify.theorem4 import THEOREM4
from verify.theorem4.law import law

COLD = (8.0, 12.0, 18.0, 28.0)


@pytest.mark.parametrize("T", COLD)
def test_bound_is_honest_and_within_100_of_the_worst(T):
    instance = edge.instance("float64", T)
    error = max(errors(THEOREM4, instance, edge.prompts("float64", T)))
    assert error <= proof.error_bound(instance.spec) <= 100 * error


@pytest.mark.parametrize("T", COLD)
def test_the_law_holds_within_its_bound_and_the_bound_within_100(T):
    instance = edge.instance("float64", T)
    model = THEOREM4.build(instance.spec, instance.tasks)
    found = law(model, instance.tasks, edge.prompts("float64", T)[0])
    step, whole = proof.error_bound(instance.spec), proof.joint_bound(instance.spec)
    assert found.step_error <= step <= 100 * found.step_error
    assert found.variation <= whole <= 100 * found.variation
    assert found.soft_error <= step <= 100 * found.soft_error


def test_the_leak_falls_as_exp_minus_T():
    colds = np.arange(10.0, 22.0, 3.0)
    worst = [
        max(errors(THEOREM4, edge.instance("float64", T), edge.prompts("float64", T)))
        for T in colds
    ]
    assert -1.1 <= np.polyfit(colds, np.log(worst), 1)[0] <= -0.9


SHOWS = [
    ("leaks", "recognize", "own"),
    ("leaks", "consistency", "g"),
    ("leaks", "posterior", "omega"),
    ("leaks", "posterior", "output"),
    ("rounds", "consistency", "g"),
    ("rounds", "posterior", "omega"),
    ("rounds", "posterior", "output"),
]


@pytest.mark.parametrize(("term", "layer", "shows"), SHOWS)
def test_a_lemma_without_a_term_is_refuted(term, layer, shows):
    dtype, coldness = ("float64", 12.0) if term == "leaks" else ("float32", None)
    one = edge.instance(dtype, coldness)
    model = THEOREM4.build(one.spec, one.tasks)
    excess = {True: [], False: []}
    for prompt in edge.prompts(dtype, coldness):
        setting = proof.setting(one.spec, prompt)
        measured = _measured(model, one, prompt)
        index = [name for name, _ in setting.gains.score_error].index(layer)
        for whole in (True, False):
            lemma = THEOREM4.lemmas[index].lemma
            bound = lemma(setting if whole else replace(setting, **{term: False}), measured[index])
            excess[whole].append(getattr(measured[index + 1], shows) - getattr(bound, shows))
    assert max(excess[True]) <= 0, "the lemma holds"
    assert max(excess[False]) > 0, "without the term it does not"


def _measured(model, one, prompt):
    """The errors before the first layer and after each, as the run had them."""
    verdict = THEOREM4.judge(one.spec, one.tasks, prompt)
    trace = model.trace(prompt, attention=False)
    streams = ideal_streams(THEOREM4, one.spec, one.tasks, prompt, verdict)
    found = []
    for name, ideal in zip(trace.streams, streams, strict=True):
        off = {
            key: np.abs(trace.read(name, key).astype(float) - ideal[key])
            for key in ("own", "w", "g", "c", "omega", "ok", "y")
        }
        errors = {key: float(array.max()) for key, array in off.items()}
        errors["omega"] = float(off["omega"].sum(1).max())
        found.append(proof.Errors(**errors, output=float(off["y"].sum(1).max())))
    return found
