"""Theorem 4 on vectors as a whole: cases, the law, generation, certificate, bounds, files, and what
is refused; a counterexample for every hypothesis."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from construct import Transformer
from construct.export.arrays import blocks_of
from construct.gains import Infeasible
from construct.theorem4.vectors import build, derive, spec_of
from construct.truth import truth
from construct.vector_generator import VectorGenerator
from construct.vectors import VectorPrompt, VectorTask
from proofs.theorem4.vectors import error_bound, joint_bound, leak, rounding
from tests.mutants import theorem4_vectors as edge
from verify.check import check_structure
from verify.enclosure import certify
from verify.theorem4 import THEOREM4
from verify.theorem4.vectors import THEOREM4_VECTORS
from verify.theorem4.vectors.cases import attack
from verify.theorem4.vectors.definition import judge
from verify.theorem4.vectors.law import chi_square, law, paths
from verify.verification import verify

ONE = edge.instance()
SPEC, TASKS = ONE.spec, ONE.tasks
MODEL = build(SPEC, TASKS)
PROMPT = edge.prompts()[3]
FIRST = edge.prompts()[1]
BOUND = error_bound(SPEC)


@pytest.mark.slow
def test_random_and_adversarial_cases_are_within_their_bounds():
    found = attack(100)
    assert found.outside == [] and found.cases == 100 and len(found.shapes) <= 24
    assert found.answers > 50 and found.without_evidence > 3 and found.ambiguous > 3
    assert max(found.ratio.values()) > 0.3, "the bounds are no empty words"


def test_the_structure_is_the_statement_s():
    assert check_structure(THEOREM4_VECTORS, MODEL, SPEC) == []
    assert check_structure(THEOREM4, MODEL, SPEC)
    moving = [sum(bank.count for bank in layer.banks if not bank.idle) for layer in MODEL.layers]
    assert moving == [3, 1, 5, 1] and all(layer.heads == 5 for layer in MODEL.layers)
    gated = [layer.mlp is not None and layer.mlp.W_3 is not None for layer in MODEL.layers]
    assert gated == [True, False, False, True]
    assert "Theorem 4 on vectors" in str(MODEL) and "soft 1" in str(MODEL)


def test_a_run_verifies_and_a_wrong_model_does_not():
    assert verify(THEOREM4_VECTORS, ONE, edge.prompts()[:3]).holds
    other = build(SPEC, TASKS[::-1])
    assert not verify(THEOREM4_VECTORS, ONE, edge.prompts()[:3], model=other).holds


@pytest.mark.parametrize("coldness", [None, 12.0])
def test_it_is_certified(coldness):
    one = edge.instance("float64", coldness)
    model = build(one.spec, one.tasks)
    certificate = certify(THEOREM4_VECTORS, model, one.tasks, edge.prompts("float64", coldness)[1])
    assert certificate.holds and certificate.radius < 1e-30
    if coldness is not None:
        assert 1e-7 < certificate.answer_error <= certificate.error_bound


@pytest.mark.parametrize("T", [12.0, 16.0, 20.0])
def test_the_leak_bound_is_less_than_100_times_the_worst_error(T):
    one = edge.instance("float64", T)
    model, worst = build(one.spec, one.tasks), 0.0
    for prompt in edge.prompts("float64", T):
        answer, verdict = model(prompt), judge(one.spec, one.tasks, prompt)
        worst = max(worst, float(np.linalg.norm(answer.vector - verdict.vector)))
    assert worst <= error_bound(one.spec) <= 100 * worst
    assert leak(one.spec) + rounding(one.spec) == pytest.approx(error_bound(one.spec), rel=0.1)


@pytest.mark.slow
def test_the_law_holds_and_another_posterior_breaks_it():
    found = law(MODEL, TASKS, PROMPT)
    assert found.step_error <= BOUND and found.soft_error <= BOUND
    assert found.variation <= joint_bound(SPEC)
    assert sum(due for _, due in found.joint.values()) == pytest.approx(1)
    assert len(set(paths(MODEL, TASKS, PROMPT.query))) == 5
    assert chi_square(MODEL, TASKS, PROMPT, 2000, 0)[2] > 1e-4
    statistic, freedom, chance = chi_square(build(SPEC, TASKS[::-1]), TASKS, PROMPT, 4000, 0)
    assert freedom == 4 and chance < 1e-6 and statistic > 50


def test_a_sampled_answer_says_the_vectors_of_tasks_that_share_its_prefix():
    said = MODEL.generate([PROMPT, edge.prompts()[4].after(())], key=1, samples=16)
    for prompt, one in zip((PROMPT, edge.prompts()[4]), said, strict=True):
        assert one.tasks is not None and one.probabilities is not None
        for tasks, vectors in zip(one.tasks, one.vectors, strict=True):
            for t, i in enumerate(tasks):
                due = TASKS[i].matrices[t] @ prompt.query[TASKS[i].slot]
                assert np.linalg.norm(vectors[t] - due) <= BOUND
            last = judge(SPEC, TASKS, prompt.after(vectors[:-1].astype(float)))
            assert last.follows[tasks[-1]]


def test_steps_of_an_answer_are_those_of_next():
    greedy = MODEL.generate(PROMPT, how="greedy")
    for t in range(SPEC.L):
        answer = MODEL.next(PROMPT, greedy.vectors[0, :t].astype(float))
        np.testing.assert_allclose(greedy.mixtures[0, t], answer.vector, atol=2 * BOUND)
        np.testing.assert_allclose(greedy.posterior[0, t], answer.posterior, atol=2 * BOUND)


def test_superposed_decoding_keeps_every_task():
    said = MODEL.generate(PROMPT, how="superposed")
    due = judge(SPEC, TASKS, PROMPT).prevalence
    assert said.tasks is None and said.probabilities is None
    np.testing.assert_allclose(said.posterior[0], np.tile(due, (SPEC.L, 1)), atol=BOUND)
    answer = MODEL.next(PROMPT, said.vectors[0, :2].astype(float), soft=True)
    np.testing.assert_allclose(answer.vector, said.vectors[0, 2], atol=2 * BOUND)


def test_without_evidence_nothing_is_said():
    said = MODEL.generate(edge.prompts()[6], key=0, samples=2)
    assert (said.tasks == -1).all() and not said.vectors.any() and not said.posterior.any()


def test_embed_and_forward_are_pure_functions():
    parts = (FIRST.inputs, FIRST.answers, FIRST.query)

    @jax.jit
    def said(prefix):
        stream, real = MODEL.embed(*parts, prefix)
        return MODEL.residual.read(MODEL.forward(stream, real)[-1], "y")

    np.testing.assert_allclose(said(FIRST.prefix), MODEL(FIRST).vector, atol=2 * BOUND)
    slopes = jax.grad(lambda prefix: said(prefix)[0])(jnp.asarray(FIRST.prefix, jnp.float32))
    assert np.isfinite(slopes).all()


def test_a_file_holds_the_same_bits(tmp_path):
    MODEL.save(tmp_path / "model.safetensors")
    loaded = Transformer.load(tmp_path / "model.safetensors")
    assert isinstance(loaded, VectorGenerator) and loaded.as_built
    one, other = (model.generate(PROMPT, key=3, samples=4) for model in (MODEL, loaded))
    assert (one.vectors == other.vectors).all() and (one.posterior == other.posterior).all()


@pytest.mark.parametrize("evaluator", ["restricted", "reference", "bf16"])
def test_evaluators_that_do_not_serve_it_are_refused_by_name(evaluator):
    with pytest.raises(ValueError, match=f"'{evaluator}': does not serve Theorem 4 on vectors"):
        MODEL(PROMPT, evaluator=evaluator)


# Hypotheses, and what fails without them.


def test_a_residual_between_tolerance_and_margin_is_refused():
    between = (edge.TOLERANCE + edge.MARGIN) / 2
    answers = PROMPT.answers.copy()
    rng = np.random.default_rng(0)
    task = TASKS[judge(SPEC, TASKS, PROMPT).recognized[9]]
    exact = task.matrices @ PROMPT.inputs[9, task.slot]
    exact[2] = edge._turned_by(rng, exact[2], between)
    answers[9] = exact
    undecided = replace(PROMPT, answers=answers)
    with pytest.raises(ValueError, match=r"example 9, task \d = a residual between: must be at"):
        MODEL(undecided)
    assert MODEL(undecided, enforce=False).recognized[9] in (-1, *range(5))
    with pytest.raises(ValueError, match="at most tolerance"):
        judge(SPEC, TASKS, undecided)
    exact = task.matrices @ PROMPT.query[task.slot]
    said = [edge._turned_by(rng, exact[0], between)]
    with pytest.raises(ValueError, match=r"prompt.prefix, task \d = a residual between"):
        MODEL.next(PROMPT, said)


def test_vectors_of_another_norm_are_refused_and_would_be_misread():
    short = replace(PROMPT, answers=0.9 * PROMPT.answers)
    with pytest.raises(ValueError, match=r"prompt.answers\[\d+, \d+\] = a vector of norm 0.9"):
        MODEL(short)
    for part in ("inputs", "query"):
        with pytest.raises(ValueError, match=f"prompt.{part}.*a vector of norm 0.9"):
            MODEL(replace(PROMPT, **{part: 0.9 * getattr(PROMPT, part)}))
    with pytest.raises(ValueError, match=r"prompt.prefix\[0\].*a vector of norm 0.9"):
        MODEL.next(FIRST, 0.9 * FIRST.prefix)
    # Nine tenths of the right vectors are said by nobody, though 1/10 each is within the tolerance.
    seen = MODEL.trace(
        PROMPT, hooks={("embed", "y"): lambda y: y, ("embed", "x"): lambda x: 0.9 * x}
    )
    assert seen.answer.evidence < judge(SPEC, TASKS, PROMPT).counts.sum()


def test_a_mixture_without_its_flag_is_said_by_nobody():
    said = MODEL.generate(PROMPT, how="superposed").vectors[0, :1].astype(float)
    with pytest.raises(ValueError, match="a vector of norm"):
        MODEL.next(PROMPT, said)
    unflagged = MODEL.trace(
        PROMPT.after(said, soft=True), hooks={("embed", "soft"): lambda flag: 0 * flag}
    )
    assert np.abs(unflagged.answer.posterior).sum() < 0.5
    with pytest.raises(ValueError, match="a mixture of unit vectors is no longer than 1"):
        MODEL.next(PROMPT, 2 * said / np.linalg.norm(said), soft=True)


def test_matrices_must_keep_norms():
    stretched = VectorTask(0, 1.01 * TASKS[0].matrices)
    with pytest.raises(ValueError, match=r"tasks\[0\].matrices = W\^T W is .* from the identity"):
        spec_of([stretched], m=4, margin=0.3)


def test_a_margin_beyond_all_unit_vectors_is_refused():
    """It would let norms be off by so much that a coordinate opens gates that must be shut."""
    assert spec_of(TASKS[:1], m=1, margin=2.0).margin == 2
    with pytest.raises(ValueError, match=r"margin = 2\.1: must be at most 2: no two unit vectors"):
        spec_of(TASKS[:1], m=1, margin=2.1)


def test_a_band_too_narrow_for_the_dtype_is_refused():
    narrow = replace(SPEC, margin=0.005, tolerance=0.004)
    with pytest.raises(Infeasible, match=r"the mean over a line is off by up to .*float64"):
        derive(narrow)
    assert derive(replace(narrow, dtype="float64")).decide > 1e6


def test_bad_requests_are_refused_by_name():
    with pytest.raises(ValueError, match=r"prompt.prefix = 3 vectors: must have fewer than L = 3"):
        MODEL.next(PROMPT, np.tile(PROMPT.answers[0, 0], (3, 1)))
    with pytest.raises(ValueError, match=r"prompts\[0\].prefix = 1 words"):
        MODEL.generate(FIRST, how="greedy")
    with pytest.raises(ValueError, match="an empty list"):
        spec_of([], m=1, margin=0.3)
    with pytest.raises(ValueError, match=r"tasks\[1\] = equal to tasks\[0\]"):
        spec_of([TASKS[0], TASKS[0]], m=1, margin=0.3)
    with pytest.raises(ValueError, match=r"VectorTask\.matrices = an array of shape"):
        VectorTask(0, np.zeros((0, 2, 2)))
    with pytest.raises(ValueError, match="features = "):
        build(replace(SPEC, features=2), TASKS)
    with pytest.raises(ValueError, match=r"prompt.answers = an array of shape"):
        MODEL(VectorPrompt(PROMPT.inputs, PROMPT.answers[:, :2], PROMPT.query))
    with pytest.raises(ValueError, match="must have at most m = 12"):
        MODEL(
            VectorPrompt(
                np.tile(PROMPT.inputs, (2, 1, 1)), np.tile(PROMPT.answers, (2, 1, 1)), PROMPT.query
            )
        )


def test_what_has_no_gates_or_no_key_refuses_it():
    with pytest.raises(ValueError, match=r"MLP of recognize is gated: .*model\.save"):
        blocks_of(MODEL)
    with pytest.raises(ValueError, match="a transformer of Theorem 4 on vectors: has no answer"):
        truth(MODEL)
