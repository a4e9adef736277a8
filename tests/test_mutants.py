"""Verification bites: it rejects faults in the weights at the right layer, and faults in the bounds."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from construct import Prompt, Transformer, build
from proofs import theorem1 as proof
from proofs.selection import Errors
from tests.mutants.__main__ import first_fault, outcomes
from tests.mutants.suite import instance, prompts
from verify.oracle import judge
from verify.theorem1 import check
from verify.theorem1.draw import Instance, draw_instance, draw_prompt
from verify.theorem1.ideal import flag, ideal_streams

# Tasks 0, 1, 2 read one slot, and so do 3 and 4: heads that fetch from the same slot differ by their gates alone, and
# exchanging the gates only exchanges the heads.
RELABELED = {f"W_Q of heads {left} and {right} swapped" for left, right in ((0, 1), (1, 2), (3, 4))}


def test_the_suite_itself_holds() -> None:
    one = instance()
    assert first_fault(build(one.spec, one.tasks, one.feature_map)) is None


@pytest.mark.slow
def test_faults_in_the_weights_are_rejected_at_their_layer() -> None:
    results = list(outcomes())
    survivors = [(outcome.fault.layer, outcome.fault.name) for outcome in results if outcome.blamed is None]
    assert set(survivors) == {("fetch", name) for name in RELABELED}
    assert len(results) - len(survivors) >= 0.99 * len(results)
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    assert f"{len(results)} faults" in readme
    assert f"verification rejects {len(results) - len(survivors)}" in readme
    misnamed = [outcome for outcome in results if outcome.blamed not in (None, outcome.fault.layer)]
    assert not misnamed


# Each lemma is held against what the run measured before its layer, so that no slack is inherited from earlier lemmas.
# Not listed: Pair, Fetch and Commit add no rounding of their own (a single weight of 1 copies, a count is exact).
TERMS = [(layer, "leaks") for layer in ("lift", "pair", "recognize", "commit", "fetch", "execute", "superpose")]
TERMS += [(layer, "rounds") for layer in ("lift", "recognize", "execute", "superpose")]


@pytest.mark.parametrize(("layer", "term"), TERMS, ids=["-".join(term) for term in TERMS])
def test_a_lemma_without_a_term_is_refuted(layer: str, term: str) -> None:
    dtype, coldness = ("float64", 12.0) if term == "leaks" else ("float32", None)
    one, checked = _case(dtype, coldness, layer)
    model = build(one.spec, one.tasks, one.feature_map)
    excess = {True: [], False: []}
    for prompt in checked:
        setting = proof.setting(one.spec, prompt.tokens)
        measured = _measured(model, one, prompt)
        index = [name for name, _ in setting.gains.score_error].index(layer)
        before, after = measured[index], measured[index + 1]
        for whole in (True, False):
            bound = proof.SEVEN[index].lemma(setting if whole else replace(setting, **{term: False}), before)
            excess[whole] += [getattr(after, name) - getattr(bound, name) for name in WRITES[layer]]
    assert max(excess[True]) <= 0, "the lemma holds"
    assert max(excess[False]) > 0, "without the term it does not"


WRITES = {
    "lift": ("x", "f"),
    "pair": ("y",),
    "recognize": ("z", "count"),
    "commit": ("z", "count"),
    "fetch": ("f",),
    "execute": ("output",),
    "superpose": ("output",),
}


def _measured(model: Transformer, one: Instance, prompt: Prompt) -> list[Errors]:
    """The errors of every subspace before the first layer and after each, as the run had them."""
    spec = one.spec
    verdict = judge(one.tasks, prompt, spec.tolerance, spec.margin, one.feature_map, spec.sum_slot)
    trace = model.trace(prompt, attention=False)
    streams = ideal_streams(check.SEVEN, spec, one.tasks, prompt, verdict)
    measured = []
    for name, ideal in zip(trace.streams, streams, strict=True):
        off = {key: trace.read(name, key).astype(float) - ideal[key] for key in ("x", "y", "f", "z", "count", "ok")}
        norms = {key: np.linalg.norm(off[key], axis=1).max() for key in ("x", "f")}
        largest = {key: np.abs(off[key]).max() for key in ("y", "z", "count", "ok")}
        outputs = off["y"][-1:] if name == "superpose" else off["y"][flag(ideal, "lab") & flag(ideal, "ok")]
        measured.append(Errors(**norms, **largest, output=np.abs(outputs).max(initial=0)))
    return measured


def _case(dtype: str, coldness: float | None, layer: str) -> tuple[Instance, Sequence[Prompt]]:
    """The suite's instance where Lift is in question; else one of few examples, whose mean hides no rounding."""
    if layer == "lift":
        return instance(dtype, coldness), prompts(dtype, coldness)
    rng = np.random.default_rng(5)
    drawn = draw_instance(rng, K=4, d=6, m=11, n=3, dtype=dtype, coldness=coldness)
    return drawn, [draw_prompt(rng, drawn, examples=examples) for examples in (1, 3, 5, 11) for _ in range(6)]
