"""The strategies give what they promise: hypotheses that hold, and the adversaries that they are
named for."""

import numpy as np
import pytest
from hypothesis import find, given, settings

from proofs.theorem1 import setting
from tests.strategies import KINDS, SHAPES, Case, Shape, cases, outputs_of, shapes, unit_inputs

FEW = settings(max_examples=100, deadline=None)


@pytest.mark.slow
@settings(max_examples=200)
@given(cases())
def test_every_case_keeps_the_hypotheses(case):
    spec = case.spec
    for prompt in case.prompts:
        misses = case.verdict(prompt).residuals
        slack = 1e-12 * (1 + spec.radius)
        assert ((misses <= spec.tolerance + slack) | (misses >= spec.margin - slack)).all()
        assert np.linalg.norm(prompt.labels, axis=-1).max() <= spec.radius + slack


@pytest.mark.slow
@settings(max_examples=100)
@given(cases())
def test_a_case_is_its_recipe(case):
    again = Case(**{name: getattr(case, name) for name in case.__dataclass_fields__})
    assert again == case
    assert all(
        (a.labels == b.labels).all() and (a.query == b.query).all()
        for a, b in zip(again.prompts, case.prompts, strict=True)
    )


@settings(max_examples=100)
@given(cases())
def test_batches_are_ragged_and_compile_once(case):
    assert [prompt.examples for prompt in case.prompts] == list(case.sizes)
    assert case.sizes[-1] == case.shape.m


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape_has_a_family(shape):
    kinds = [kind for kind in KINDS if getattr(shape, kind)]
    assert kinds
    for kind in kinds:
        case = Case(kind, shape, 1, (shape.m,), (0,), (0,), 0.9)
        spec = case.spec
        assert (spec.K, spec.d, spec.m, spec.n) == (shape.K, shape.d, shape.m, shape.n)
        assert (spec.features, spec.dtype, spec.sum_slot) == (
            shape.features,
            shape.dtype,
            shape.sum_slot,
        )
        assert setting(spec).gains.hard


def test_the_menu_spans_the_ranges():
    for name, low, high in (("K", 1, 24), ("d", 1, 24), ("m", 1, 40), ("n", 2, 8)):
        values = [getattr(shape, name) for shape in SHAPES]
        assert (min(values), max(values)) == (low, high)
    assert len(SHAPES) <= 16


def _some(kind, wanted):
    """A case of a kind, and one of its prompts, for which `wanted(case, prompt, verdict)` is true;
    NoSuchExample otherwise."""

    def holds(case):
        return any(wanted(case, prompt, case.verdict(prompt)) for prompt in case.prompts)

    return find(
        cases(shapes(sum_slot=False, features=0), kind=kind),
        holds,
        settings=settings(max_examples=400, database=None),
    )


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("apart", lambda case, prompt, verdict: (verdict.explains.sum(0) == 0).any()),
        (
            "apart",
            lambda case, prompt, verdict: np.isclose(
                verdict.residuals[verdict.explains], 0.9 * case.spec.margin
            ).any(),
        ),
    ],
    ids=["noise", "tolerance near the margin"],
)
def test_apart_reaches(kind, wanted):
    assert _some(kind, wanted).shape.apart


SIGNS = {
    "opposite residual of 2R": lambda case, prompt, verdict: (
        verdict.residuals == 2 * case.spec.radius
    ).any(),
    "a residual of exactly the margin": lambda case, prompt, verdict: (
        verdict.residuals == case.spec.margin
    ).any(),
    "a residual of exactly the tolerance": lambda case, prompt, verdict: (
        verdict.residuals == case.spec.tolerance
    ).any(),
    "zero inputs": lambda case, prompt, verdict: not prompt.inputs.any(),
    "a query that a task maps to 0": lambda case, prompt, verdict: (
        not verdict.outputs.any(-1).all()
    ),
    "all tasks agree": lambda case, prompt, verdict: (
        case.spec.K > 1 and verdict.explains.all(0).any()
    ),
    "11 and more tasks agree": lambda case, prompt, verdict: verdict.explains.sum(0).max() >= 11,
    "no evidence": lambda case, prompt, verdict: not verdict.counts.any(),
    "fewer examples than m": lambda case, prompt, verdict: prompt.examples < case.spec.m,
}


@pytest.mark.parametrize("name", SIGNS)
def test_signs_reach(name):
    shape = Shape(4, 3, 3, 3) if "11" not in name else Shape(24, 5, 3, 2)
    signs = (
        Case("signs", shape, seed, (1, 3), share=share)
        for seed in range(100)
        for share in (0.0, 0.9, 0.25)
    )
    assert any(
        SIGNS[name](case, prompt, case.verdict(prompt)) for case in signs for prompt in case.prompts
    )


def test_random_reaches_noise_and_ambiguity():
    case = Case("random", Shape(4, 16, 32, 3), 3, (32,), (2,), (3,))
    explaining = case.verdict(case.prompts[0]).explains.sum(0)
    assert (explaining == 0).sum() == 2
    assert (explaining >= 2).sum() == 3


@FEW
@given(cases(shapes(sum_slot=True), kind="apart"))
def test_sum_slots_are_blank(case):
    assert all(
        not prompt.inputs[:, -1].any() and not prompt.query[-1].any() for prompt in case.prompts
    )


@FEW
@given(cases(kind="apart"))
def test_outputs_are_the_oracles(case):
    prompt = case.prompts[-1]
    guesses = outputs_of(case.instance, prompt.inputs)
    assert np.allclose(
        np.linalg.norm(guesses - prompt.labels, axis=-1),
        case.verdict(prompt).residuals,
        rtol=1e-12,
        atol=1e-12,
    )


def test_unit_inputs_are_units_or_zero():
    case = Case("apart", Shape(2, 3, 6, 3), 0, (6,))
    norms = np.linalg.norm(unit_inputs(np.random.default_rng(0), case.spec, (500,)), axis=-1)
    assert set(norms.round(12).ravel()) == {0.0, 1.0}
