"""The task vector as an object: it is the prevalence, and patching it patches the mixture and
nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from construct import build as build1
from proofs import theorem3 as proof
from tests.theorem3.test_theorem3 import BOUND, INSTANCE, MODEL, PROMPT, PURE, SPEC, truth
from verify.draw import draw_prompt


def patched(prompt, vector):
    """The answer to a prompt with another task vector at the answer token."""
    return MODEL(prompt, hooks={("tally", "w"): lambda w: w.at[-1].set(vector)}).vector


def test_it_is_the_prevalence():
    for prompt in (PROMPT, PURE):
        vector = MODEL.trace(prompt, attention=False).task_vector
        tally = proof.errors(proof.setting(SPEC))[1].w
        assert np.abs(vector - truth(prompt).prevalence).sum() <= tally
        assert vector.min() >= -tally and vector.sum() <= 1 + tally


def test_pure_prompts_are_corners_and_mixtures_lie_inside():
    tally = proof.errors(proof.setting(SPEC))[1].w
    assert MODEL.trace(PURE, attention=False).task_vector.max() >= 1 - tally
    assert MODEL.trace(PROMPT, attention=False).task_vector.max() < 1 - 1 / (2 * SPEC.m)


def test_another_prompts_vector_gives_the_other_mixture_on_this_query():
    other = MODEL.trace(PURE, attention=False).task_vector
    verdict = truth(PROMPT)
    assert np.abs(patched(PROMPT, other) - truth(PURE).prevalence @ verdict.outputs).max() <= BOUND


@settings(max_examples=20)
@given(st.lists(st.floats(0, 1), min_size=SPEC.K, max_size=SPEC.K))
def test_convex_combinations_of_vectors_give_convex_combinations_of_outputs(weights):
    vector = np.array(weights) / max(sum(weights), 1)
    assert np.abs(patched(PROMPT, vector) - vector @ truth(PROMPT).outputs).max() <= BOUND


def test_an_unpatched_hook_changes_nothing():
    same = MODEL(PROMPT, hooks={("tally", "w"): lambda w: None}).vector
    assert np.abs(same - truth(PROMPT).vector).max() <= BOUND


def test_a_patch_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="tally"):
        MODEL(PROMPT, hooks={("tally", "w"): lambda w: w[:, :1]})


def test_theorem_1_has_no_task_vector():
    rng = np.random.default_rng(0)
    trace = build1(SPEC, INSTANCE.tasks).trace(
        draw_prompt(rng, INSTANCE, examples=3), attention=False
    )
    with pytest.raises(ValueError, match="'w'"):
        _ = trace.task_vector
