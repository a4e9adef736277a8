"""Theorem 1 as properties: the answer is weighted by task prevalence, and by nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, example, given, settings

from construct import Prompt, Spec, build
from construct.theorem1.gains import derive
from proofs import theorem1 as proof
from tests.strategies import Case, Shape, cases, shapes, unit_inputs
from verify.check import answer_error
from verify.draw import draw_instance, draw_prompt
from verify.oracle import ABSTAINED

# By whole calls, which compile; tests/properties has the same over free shapes, and more of them.
MANY = settings(max_examples=40)
SOME = settings(max_examples=12)


def bound(case):
    """How far an answer may be from the superposition, for the longest prompt of the Spec."""
    return proof.error_bound(case.spec)


def rearranged(prompt, order):
    """The prompt with its examples taken in another order, some more often than once, some not at
    all."""
    return Prompt(inputs=prompt.inputs[order], labels=prompt.labels[order], query=prompt.query)


def same(case, before, after):
    """Both are within the bound of one superposition, so they are within twice the bound of each
    other."""
    assert answer_error(after.vector, before.vector.astype(float)) <= 2 * bound(case)


@MANY
@given(cases())
@example(Case("apart", Shape(1, 1, 1, 2), 0, (1,) * 4))
@example(
    Case("apart", Shape(5, 3, 7, 5, features=4), 3, (1, 3, 5, 7))
)  # the tolerance is 0.9 of the margin
@example(Case("signs", Shape(1, 1, 1, 2), 5, (1,) * 4, share=0.9, blank=True))
@example(Case("signs", Shape(24, 24, 12, 4), 5, (1, 3, 7, 12), share=0.0, blank=True))
@example(Case("signs", Shape(16, 12, 16, 6), 7, (1, 5, 16, 16), share=0.9))
def test_answer_is_weighted_by_prevalence(case):
    for prompt, answer in zip(case.prompts, case.model(case.prompts), strict=True):
        verdict = case.verdict(prompt)
        assert (answer.recognized == verdict.recognized).all()
        assert (answer.counts == verdict.counts).all()
        assert (answer.prevalence == verdict.prevalence).all()
        assert answer_error(answer.vector, verdict.prevalence @ verdict.outputs) <= bound(case)


@SOME
@given(cases())
def test_order_does_not_matter(case):
    rng = np.random.default_rng(case.seed)
    orders = [rng.permutation(prompt.examples) for prompt in case.prompts]
    shuffled = [
        rearranged(prompt, order) for prompt, order in zip(case.prompts, orders, strict=True)
    ]
    for before, after, order in zip(
        case.model(case.prompts), case.model(shuffled), orders, strict=True
    ):
        assert (after.recognized == before.recognized[order]).all()
        same(case, before, after)


@SOME
@given(cases())
def test_duplicating_all_examples_changes_nothing(case):
    copies = [case.spec.m // prompt.examples for prompt in case.prompts]
    doubled = [
        rearranged(p, np.tile(np.arange(p.examples), k))
        for p, k in zip(case.prompts, copies, strict=True)
    ]
    for before, after, k in zip(case.model(case.prompts), case.model(doubled), copies, strict=True):
        assert (after.counts == k * before.counts).all()
        assert np.allclose(after.prevalence, before.prevalence, rtol=1e-15)
        same(case, before, after)


@SOME
@given(cases())
def test_moving_one_example_moves_the_answer(case):
    # Example `a` is overwritten by a copy of `b`: one example less of its task, one more of the
    # other's.
    moved, tasks = [], []
    for prompt in case.prompts:
        order, recognized = np.arange(prompt.examples), case.verdict(prompt).recognized
        committed = np.flatnonzero(recognized != ABSTAINED)
        if len(committed) > 1:
            order[committed[0]] = committed[-1]
        moved.append(rearranged(prompt, order))
        tasks.append(
            (recognized[committed[0]], recognized[committed[-1]]) if len(committed) else None
        )
    assume(any(pair is not None and pair[0] != pair[1] for pair in tasks))
    for prompt, before, after, pair in zip(
        case.prompts, case.model(case.prompts), case.model(moved), tasks, strict=True
    ):
        if pair is None:
            continue
        outputs = case.verdict(prompt).outputs
        step = (outputs[pair[1]] - outputs[pair[0]]) / before.evidence
        assert after.evidence == before.evidence
        assert answer_error(after.vector.astype(float) - before.vector, step) <= 2 * bound(case)


@SOME
@given(cases())
def test_abstained_examples_weigh_nothing(case):
    committed = [
        np.flatnonzero(case.verdict(prompt).recognized != ABSTAINED) for prompt in case.prompts
    ]
    # Overwriting every abstained example by the committed ones in turn changes the counts; dropping
    # them changes nothing. A prompt of full length goes along, so that the batch compiles once.
    kept = [
        rearranged(p, order) if len(order) else p
        for p, order in zip(case.prompts[:-1], committed[:-1], strict=True)
    ]
    for before, after, order in zip(
        case.model(case.prompts), case.model([*kept, case.prompts[-1]]), committed, strict=False
    ):
        assert after.evidence == before.evidence == len(order)
        assert (before.recognized != ABSTAINED).sum() == len(order)
        same(case, before, after)


@settings(max_examples=40)
@given(cases(kind="signs", shape=shapes(K=4, sum_slot=False) | shapes(K=24)))
def test_no_evidence_gives_zero(case):
    # The opposite of an explained label of norm 1, on inputs +-e in the one slot that all tasks
    # read: 2 away, or explained.
    prompt = case.prompts[-1]
    labels = np.where(case.verdict(prompt).explains.sum(0)[:, None] == 1, 0, prompt.labels)
    nothing = Prompt(inputs=prompt.inputs, labels=labels, query=prompt.query)
    verdict = case.verdict(nothing)
    answer = case.model([nothing] * 4)[0]
    assert (answer.recognized == verdict.recognized).all()
    if not verdict.counts.any():
        assert not answer.vector.any()
        assert answer.message == "no evidence"
        assert not answer.prevalence.any()


@pytest.mark.slow
@SOME
@given(cases(kind="apart", shape=shapes(n=8) | shapes(K=5) | shapes(K=2)))
def test_inputs_in_unread_slots_do_not_matter(case):
    unread = sorted(set(range(case.spec.n - 1)) - {task.slot for task in case.tasks})
    assume(unread)
    rng = np.random.default_rng(case.seed)
    others = []
    for prompt in case.prompts:
        inputs, query = prompt.inputs.copy(), prompt.query.copy()
        inputs[:, unread] = unit_inputs(rng, case.spec, (prompt.examples,))[:, unread]
        query[unread] = unit_inputs(rng, case.spec, ())[unread]
        others.append(Prompt(inputs=inputs, labels=prompt.labels, query=query))
    for before, after in zip(case.model(case.prompts), case.model(others), strict=True):
        assert (after.recognized == before.recognized).all()
        # The softmax is hard: what is not read has weight 0, to the last bit.
        assert (after.vector == before.vector).all()


@pytest.mark.slow
@settings(max_examples=20)
@given(cases(shapes(K=2) | shapes(K=12)))
def test_a_ragged_batch_equals_its_singles(case):
    for prompt, together in zip(case.prompts, case.model(case.prompts), strict=True):
        alone = case.model(prompt)
        assert (alone.recognized == together.recognized).all()
        same(case, together, alone)


@settings(max_examples=30)
@given(cases(shapes(dtype="float64")))
def test_float64_rounds_at_float64(case):
    worst = max(
        answer_error(a.vector, case.verdict(p).vector)
        for p, a in zip(case.prompts, case.model(case.prompts), strict=True)
    )
    assert worst <= min(bound(case), 1e-13 * max(1.0, case.spec.radius))


def errors_at(spec, instance, prompts):
    """The error of each answer at a Spec's coldness."""
    verdicts = Case.verdict
    case = Case("random", Shape(spec.K, spec.d, spec.m, spec.n), 0, ())
    object.__setattr__(case, "_drawn", (replace(instance, spec=spec), prompts))
    return [
        answer_error(a.vector, verdicts(case, p).vector)
        for p, a in zip(prompts, case.model(prompts), strict=True)
    ]


@pytest.fixture(scope="module")
def cold():
    """Tasks and 50 prompts for the rate and the leak."""
    rng = np.random.default_rng(4)
    instance = draw_instance(rng, K=3, d=4, m=16, n=4, dtype="float64")
    return instance, [draw_prompt(rng, instance, noise=2) for _ in range(50)]


def test_error_decays_as_exp_minus_coldness(cold):
    instance, prompts = cold
    coldness = np.arange(8, 29, 2)
    worst = [
        max(errors_at(replace(instance.spec, coldness=float(T)), instance, prompts))
        for T in coldness
    ]
    slope = np.polyfit(coldness, np.log(worst), 1)[0]
    assert abs(slope + 1) <= 0.02


@pytest.mark.parametrize("T", [8.0, 16.0, 22.0])
def test_leak_bound_is_honest_and_tight(cold, T):
    instance, prompts = cold
    spec = replace(instance.spec, coldness=T)
    observed = max(errors_at(spec, instance, prompts))
    assert observed <= proof.error_bound(spec)
    assert observed <= proof.leak(spec) <= 100 * observed


def test_rounding_bound_is_honest_and_tight():
    rng = np.random.default_rng(0)
    instance = draw_instance(rng, K=4, d=16, m=32, n=3)
    prompts = [draw_prompt(rng, instance) for _ in range(50)]
    observed = max(errors_at(instance.spec, instance, prompts))
    assert proof.leak(instance.spec) == 0 or proof.leak(instance.spec) < proof.rounding(
        instance.spec
    )
    assert observed <= proof.rounding(instance.spec) <= 300 * observed


def test_bound_stays_small_at_a_large_size():
    spec = Spec(
        K=16,
        d=256,
        m=512,
        n=4,
        margin=0.5,
        radius=2.0,
        weight_norm=1.0,
        bias_norm=0.5,
        input_radius=1.0,
    )
    assert derive(spec).hard
    assert proof.error_bound(spec) < 1e-4


FIGURES = [
    (1, 1, 1, 2),
    (4, 16, 32, 3),
    (8, 16, 40, 9),
    (16, 64, 128, 4),
    (64, 16, 256, 2),
    (512, 16, 64, 2),
    (4, 512, 16, 2),
]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("K", "d", "m", "n"), FIGURES)
def test_figures(K, d, m, n, dtype):
    rng = np.random.default_rng(0)
    instance = draw_instance(rng, K=K, d=d, m=m, n=n, dtype=dtype)
    prompt = draw_prompt(rng, instance)
    case = Case("random", Shape(K, d, m, n, dtype=dtype), 0, (m,))
    answer = build(instance.spec, instance.tasks)(prompt)
    object.__setattr__(case, "_drawn", (instance, [prompt]))
    verdict = case.verdict(prompt)
    error = answer_error(answer.vector, verdict.vector)
    assert instance.spec.radius <= 10
    assert (answer.counts == verdict.counts).all()
    assert error <= proof.error_bound(instance.spec)
    assert error <= {"float32": 2e-6, "float64": 1e-13}[dtype]
