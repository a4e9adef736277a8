"""Theorem 2 as a whole: answers, refusals, structure. Its lemmas have a test module each."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from construct import Prompt, Spec, Task
from construct.gains import Infeasible
from construct.theorem2 import build
from construct.theorem2.gains import derive
from proofs import theorem2 as proof
from verify.check import answer_error, check_structure
from verify.draw import draw_instance, draw_prompt
from verify.oracle import judge
from verify.theorem import ALL
from verify.theorem2 import THEOREM2
from verify.verification import verify

SHAPES = ((4, 16, 32, 3, 0, "float32"), (8, 16, 40, 9, 0, "float32"), (5, 6, 8, 4, 12, "float64"))


def drawn(seed, shape=SHAPES[0], sizes=(None,), **more):
    """An instance of a shape and prompts of these sizes (None: m)."""
    rng = np.random.default_rng(seed)
    K, d, m, n, features, dtype = shape
    instance = draw_instance(rng, K=K, d=d, m=m, n=n, features=features, dtype=dtype, **more)
    return instance, [
        draw_prompt(rng, instance, examples=size, noise=min(2, (size or m) - 1)) for size in sizes
    ]


INSTANCE, (PROMPT,) = drawn(1)
MODEL = build(INSTANCE.spec, INSTANCE.tasks)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from(SHAPES), st.integers(1, 8))
@example(0, SHAPES[1], 1)
def test_answers_are_the_superposition(seed, shape, size):
    instance, prompts = drawn(seed, shape, (size, None))
    spec = instance.spec
    answers = build(spec, instance.tasks, instance.feature_map)(prompts)
    for prompt, answer in zip(prompts, answers, strict=True):
        verdict = judge(instance.tasks, prompt, spec.tolerance, spec.margin, instance.feature_map)
        assert (answer.recognized == verdict.recognized).all()
        assert answer_error(answer.vector, verdict.vector) <= proof.error_bound(spec)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_lemma_holds(shape):
    instance, prompts = drawn(2, shape)
    report = verify(THEOREM2, instance, prompts)
    assert report.holds and len(report.lemmas) == 3
    assert report.embedding_dim <= report.embedding_bound


def test_an_ambiguous_example_is_refused():
    rng = np.random.default_rng(4)
    prompt = draw_prompt(rng, INSTANCE, ambiguous=1)
    with pytest.raises(
        ValueError,
        match=r"prompt example \d+ = explained by tasks .*at most one explanation.*Theorem 1",
    ):
        MODEL(prompt)


def test_nothing_but_noise_is_no_evidence():
    rng = np.random.default_rng(5)
    answer = MODEL(draw_prompt(rng, INSTANCE, examples=4, noise=4))
    assert answer.message == "no evidence" and not answer.vector.any()


def test_an_undecided_residual_is_refused():
    spec, task = INSTANCE.spec, INSTANCE.tasks[0]
    inputs = PROMPT.inputs[:1]
    direction = np.eye(spec.d)[0] * (spec.tolerance + spec.margin) / 2
    label = inputs[:, task.slot] @ task.weight.T + task.bias + direction
    with pytest.raises(ValueError, match="residual"):
        MODEL(Prompt(inputs=inputs, labels=label, query=PROMPT.query))


def test_a_sum_slot_is_refused():
    task = Task(slot=0, weight=np.eye(2))
    with pytest.raises(ValueError, match="sum_slot = True"):
        build(Spec.of([task], m=2, n=3, margin=1.0, radius=1.0, sum_slot=True), [task])


def test_a_coldness_that_leaks_too_much_is_refused():
    with pytest.raises(Infeasible, match=r"coldness|residuals"):
        derive(replace(INSTANCE.spec, coldness=2.0))
    with pytest.raises(Infeasible, match="T/2"):
        derive(replace(INSTANCE.spec, coldness=4.0, margin=2 * INSTANCE.spec.radius, tolerance=0.0))


def test_scores_beyond_the_format_are_refused():
    with pytest.raises(
        Infeasible, match=r"the scores of recognize reach .* beyond the format's range"
    ):
        derive(replace(INSTANCE.spec, coldness=1e37))
    with pytest.raises(Infeasible, match=r"the weights reach .* beyond the format's range"):
        derive(
            Spec(K=1, d=1, m=1, n=2, margin=1e2, radius=1e3, weight_norm=1e39, input_radius=1e-45)
        )


def test_the_structure_check_fails_on_another_theorems_transformer():
    assert not check_structure(THEOREM2, MODEL, INSTANCE.spec)
    assert check_structure(
        ALL[1], MODEL, INSTANCE.spec
    )  # as Theorem 1: too few layers, another width


def test_query_features_are_carried_by_one_mlp():
    instance, _ = drawn(6, SHAPES[2])
    model = build(instance.spec, instance.tasks, instance.feature_map)
    assert [layer.mlp is None for layer in model.layers] == [False, True, True]
    assert all(layer.mlp is None for layer in MODEL.layers)
