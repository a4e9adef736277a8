"""The certificate encloses what floats and exact arithmetic give, and refuses what it cannot decide."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from construct import Prompt, Transformer, build
from tests.mutants.faults import copy
from verify import balls
from verify.oracle import judge as judge_in_floats
from verify.theorem1 import __main__ as command
from verify.theorem1.certificate import certify, judge
from verify.theorem1.draw import Instance, draw_instance, draw_prompt


def _drawn(seed: int = 3, **options: object) -> tuple[Instance, Prompt, Transformer]:
    rng = np.random.default_rng(seed)
    instance = draw_instance(rng, **({"K": 3, "d": 4, "m": 6, "n": 3} | options))
    prompt = draw_prompt(rng, instance, noise=1, ambiguous=1)
    return instance, prompt, build(instance.spec, instance.tasks, instance.feature_map)


@pytest.mark.parametrize(
    "options",
    [
        {"K": 4, "d": 16, "m": 32},
        {},
        {"dtype": "float64"},
        {"dtype": "float64", "coldness": 12.0},
        {"features": 5, "n": 4, "sum_slot": True},
    ],
    ids=["default size", "float32", "float64", "leaking", "lifting"],
)
def test_a_right_transformer_is_certified(options: dict) -> None:
    instance, prompt, model = _drawn(**options)
    certificate = certify(model, instance.tasks, prompt, instance.feature_map)
    assert certificate.holds
    # The enclosure is a number's, not an interval that says nothing.
    assert certificate.radius < 1e-30
    json.dumps(certificate.as_json(), allow_nan=False)


def test_the_real_answer_leaks_as_the_float64_one_does() -> None:
    instance, prompt, model = _drawn(dtype="float64", coldness=10.0)
    certificate = certify(model, instance.tasks, prompt, instance.feature_map)
    verdict = judge_in_floats(instance.tasks, prompt, instance.spec.tolerance, instance.spec.margin)
    error = np.abs(model(prompt).vector - verdict.vector).max()
    assert certificate.answer_error == pytest.approx(error, rel=1e-9)
    assert certificate.float_distance < 1e-14 < error


def test_a_fault_is_not_certified() -> None:
    instance, prompt, model = _drawn()
    struck = copy(model)
    gate = struck.layer("fetch").banks[0].W_Q
    gate[...] = np.asarray(gate[...]) / 2
    certificate = certify(struck, instance.tasks, prompt, instance.feature_map)
    assert not certificate.holds
    assert next(lemma.name for lemma in certificate.lemmas if not lemma.holds) == "fetch"


def test_what_is_undecided_fails() -> None:
    instance, prompt, model = _drawn()
    certificate = certify(model, instance.tasks, prompt, instance.feature_map)
    assert not replace(certificate, answer_error=float("inf")).holds
    assert not replace(certificate, float_distance=float("nan")).holds
    assert not replace(certificate, ties=[False, *certificate.ties[1:]]).holds
    undecided = balls.flint().arb(0, 1)
    assert balls.upper(undecided) >= 1
    assert balls.upper(balls.flint().arb("nan")) == np.inf


def test_ball_verdict_equals_the_oracle_and_refuses_the_band() -> None:
    instance, prompt, _ = _drawn(features=5)
    spec = instance.spec
    with balls.precision(128):
        verdict = judge(instance.tasks, prompt, spec.tolerance, spec.margin, instance.feature_map, False)
    expected = judge_in_floats(instance.tasks, prompt, spec.tolerance, spec.margin, instance.feature_map)
    assert (verdict.recognized == expected.recognized).all()
    np.testing.assert_allclose(verdict.vector.astype(float), expected.vector, rtol=0, atol=1e-14)
    between = float(expected.residuals.min(0).max())
    with balls.precision(128), pytest.raises(ValueError, match="undecided"):
        judge(instance.tasks, prompt, between / 4, between * 2, instance.feature_map, False)


def test_matrix_product_in_balls_is_exact() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.integers(-9, 9, (3, 4)).astype(float), rng.integers(-9, 9, (4, 2)).astype(float)
    with balls.precision(64):
        product = balls.exact(left) * balls.exact(right)
    assert [float(entry) for entry in product.entries()] == (left @ right).ravel().tolist()


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "flint", None)
    monkeypatch.setattr(sys, "argv", ["verify.theorem1", "--certify"])
    with pytest.raises(SystemExit) as exit_:
        command.cli.run(command.main, command.PROG)
    message = capsys.readouterr().err
    assert exit_.value.code == 2
    assert "certify" in message
    assert message.count("\n") == 1
