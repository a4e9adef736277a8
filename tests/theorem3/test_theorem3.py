"""Theorem 3 as a whole: answers, the mask, the series, refusals, structure. Its lemmas have a test
module each."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from construct import Prompt, Spec, Task
from construct.gains import Infeasible
from construct.theorem3 import build
from construct.theorem3.gains import derive, norm_tolerance
from construct.theorem3.series import series
from proofs import theorem3 as proof
from verify.check import answer_error, check_structure
from verify.draw import draw_instance, draw_prompt
from verify.oracle import judge
from verify.theorem import ALL
from verify.theorem3 import THEOREM3
from verify.verification import verify

SHAPES = ((4, 10, 20, 2, "float32"), (8, 26, 40, 9, "float64"))


def drawn(seed, shape=SHAPES[0], kinds=({},), **more):
    """An instance of a shape and prompts of these kinds."""
    rng = np.random.default_rng(seed)
    K, d, m, n, dtype = shape
    instance = draw_instance(rng, K=K, d=d, m=m, n=n, dtype=dtype, sphere=True, **more)
    return instance, [draw_prompt(rng, instance, **kind) for kind in kinds]


INSTANCE, (PROMPT, PURE, AGREE) = drawn(
    1, SHAPES[1], ({"noise": 2, "ambiguous": 2}, {"pure": True}, {"agree": True})
)
MODEL = build(INSTANCE.spec, INSTANCE.tasks)
SPEC = INSTANCE.spec
BOUND = proof.error_bound(SPEC)


def truth(prompt, instance=INSTANCE):
    """The verdict on a prompt."""
    return judge(instance.tasks, prompt, instance.spec.tolerance, instance.spec.margin)


@settings(max_examples=25)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(SHAPES),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2),
)
@example(0, SHAPES[0], True, True, 0)
def test_answers_are_the_superposition(seed, shape, pure, agree, noise):
    kinds = ({"pure": pure, "agree": agree, "noise": noise}, {"examples": 3, "noise": noise})
    instance, prompts = drawn(seed, shape, kinds)
    answers = build(instance.spec, instance.tasks)(prompts)
    for prompt, answer in zip(prompts, answers, strict=True):
        verdict = truth(prompt, instance)
        assert (answer.recognized == verdict.recognized).all()
        assert answer_error(answer.vector, verdict.vector) <= proof.error_bound(instance.spec)


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape", [(4, 10, 20, 2), (8, 26, 40, 9), (16, 30, 60, 3), (64, 64, 200, 3)]
)
@pytest.mark.parametrize(("dtype", "error"), [("float32", 2e-5), ("float64", 1e-10)])
def test_mixed_and_pure_prompts_at_the_stated_errors(shape, dtype, error):
    instance, prompts = drawn(
        0, (*shape, dtype), ({}, {}, {"pure": True}, {"pure": True}, {"agree": True})
    )
    answers = build(instance.spec, instance.tasks)(prompts)
    errors = [
        answer_error(a.vector, truth(p, instance).vector)
        for a, p in zip(answers, prompts, strict=True)
    ]
    assert max(errors[:4]) <= error
    assert max(errors) <= proof.error_bound(instance.spec)


@pytest.mark.parametrize("prompt", [PROMPT, PURE, AGREE])
def test_every_lemma_holds(prompt):
    report = verify(THEOREM3, INSTANCE, [prompt], model=MODEL)
    assert report.holds and len(report.lemmas) == 5


def test_it_is_causal():
    later = Prompt(inputs=PROMPT.inputs, labels=PROMPT.labels, query=-PROMPT.query)
    seen = [MODEL.trace(prompt, attention=True) for prompt in (PROMPT, later)]
    first_query = seen[0].tokens.index("q0")
    for layer in MODEL.layers:
        assert layer.causal
        assert not np.triu(seen[0].attention[layer.name], 1).any()
        before, after = (trace.streams[layer.name][:first_query] for trace in seen)
        np.testing.assert_array_equal(before, after)


@settings(max_examples=100)
@given(st.floats(0.003, 2.0), st.lists(st.floats(0, 1), min_size=1, max_size=6))
@example(0.7, [1.0])
@example(2.0, [0.2] * 5)
def test_the_series_remainder(eps, weights):
    gates = series(eps)
    w = np.array(weights, np.longdouble)
    w = w / max(w.sum(), 1)
    sigma = [1 / (1 + np.exp(-slope * (w - 0.5))) for slope in gates.slopes]
    F = sum(np.longdouble(c) * gate for c, gate in zip(gates.c, sigma, strict=True))
    # The coefficients themselves are floats: each is off by a rounding of its size.
    rounding = len(w) * 8 * np.finfo(float).eps * gates.background
    assert np.abs(F - w).sum() <= gates.remainder + rounding
    assert gates.remainder <= eps**4 / 750 * (1 + eps**2)


def test_eps_minimizes_the_bound():
    for K, dtype in ((4, "float32"), (64, "float32"), (8, "float64")):
        spec = replace(SPEC, K=K, dtype=dtype)
        setting = proof.setting(spec)

        def bound(factor, setting=setting):
            gains = replace(setting.gains, series=series(setting.gains.series.eps * factor))
            return proof.errors(replace(setting, gains=gains))[-1].output

        assert bound(1.0) <= 1.02 * min(bound(factor) for factor in np.geomspace(0.5, 2, 41))


def test_values_round_in_the_same_way_in_all_three_gates():
    """The bound relies on it: a value's rounding is common, and not amplified."""
    instance, (prompt,) = drawn(7, SHAPES[0])
    model = build(instance.spec, instance.tasks)
    banks = [model.layer(name).banks[0] for name in ("balance", "open", "correct")]
    for bank in banks:
        np.testing.assert_array_equal(bank.W_V[...], banks[0].W_V[...])
    trace = model.trace(prompt, attention=False)
    x = [trace.read(name, "x") for name in ("tally", "balance", "open", "correct")]
    assert all((one == x[0]).all() for one in x)


def test_a_label_that_does_not_preserve_the_norm_is_named():
    labels = PROMPT.labels.copy()
    labels[3] *= 0.8
    with pytest.raises(ValueError, match=r"prompt\.labels\[3\] = a label of norm 0\.8.*Theorem 3"):
        MODEL(Prompt(inputs=PROMPT.inputs, labels=labels, query=PROMPT.query))


def test_a_task_that_does_not_preserve_the_norm_is_named():
    # In one direction alone, which the build cannot know that no input has.
    narrow = np.diag([1.0] + [0.5] * (SPEC.d - 1))
    weight = INSTANCE.tasks[0].weight @ narrow
    tasks = [replace(INSTANCE.tasks[0], weight=weight), *INSTANCE.tasks[1:]]
    with pytest.raises(
        ValueError, match=r"prompt example \d+, task 0 = an output of norm 0\.\d+.*Theorem 3"
    ):
        build(SPEC, tasks)(PROMPT)


def test_norms_within_the_tolerance_are_accepted():
    scale = np.sqrt(1 - 0.9 * norm_tolerance(SPEC))
    prompt = Prompt(inputs=PURE.inputs, labels=scale * PURE.labels, query=PURE.query)
    assert (MODEL(prompt).counts == MODEL(PURE).counts).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [({"radius": 0.5}, "radius = 0.5"), ({"sum_slot": True}, "sum_slot = True")],
)
def test_what_it_cannot_do_is_refused(change, message):
    spec = replace(SPEC, **change)
    with pytest.raises(ValueError, match=message):
        build(spec, INSTANCE.tasks)


@pytest.mark.parametrize(
    ("scale", "bias", "message"),
    [(0.3, 0.3, "have at most 0.6 on inputs"), (1.0, 3.0, "have at least 2 on inputs")],
)
def test_a_task_whose_outputs_never_have_norm_1_is_refused_when_built(scale, bias, message):
    task = Task(slot=0, weight=scale * np.eye(4), bias=bias * np.eye(4)[0])
    with pytest.raises(ValueError, match=message):
        build(Spec.of([task], m=2, n=2, margin=1.0, radius=4.0), [task])
    # Where longer inputs are allowed, the same bias may give an output of norm 1.
    if bias > 1:
        wide = Spec.of([task], m=2, n=2, margin=1.0, radius=4.0, input_radius=4.0)
        assert build(wide, [task]).spec == wide


def test_a_dropped_mask_is_named():
    blind = build(SPEC, INSTANCE.tasks)
    blind.layer("open").causal = False
    assert check_structure(THEOREM3, blind, SPEC) == ["open sees tokens after its own"]


def test_impossible_gains_are_refused():
    with pytest.raises(
        Infeasible, match=r"the scores of recognize reach .* beyond the format's range"
    ):
        derive(replace(SPEC, dtype="float32", margin=1.0, tolerance=0.0, coldness=1e38))
    with pytest.raises(Infeasible, match="count of explaining tasks leaks"):
        derive(replace(SPEC, coldness=3.0))
    with pytest.raises(Infeasible, match="float64"):
        derive(replace(SPEC, dtype="float32", margin=1e-3, tolerance=0.0))


def test_a_duplicate_task_without_norm_is_refused_like_elsewhere():
    task = Task(slot=0, weight=np.eye(2))
    with pytest.raises(ValueError, match="equal to"):
        Spec.of([task, task], m=2, n=2, margin=1.0, radius=1.0)


def test_the_structure_check_fails_on_another_theorems_transformer():
    assert not check_structure(THEOREM3, MODEL, SPEC)
    assert check_structure(ALL[1], MODEL, SPEC)
