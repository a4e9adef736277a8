"""The certificate encloses what floats and exact arithmetic give, and refuses what it cannot
decide."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from construct import Prompt, Transformer
from tests.wrong import damaged
from verify import balls, command
from verify.draw import Instance, draw_instance, draw_prompt
from verify.enclosure import certify, verdict_in_balls
from verify.oracle import judge
from verify.theorem import ALL, Theorem

THEOREMS = tuple(theorem for theorem in ALL.values() if theorem.labeled)
SMALL = {"K": 3, "d": 4, "m": 6, "n": 3}


def _drawn(
    theorem: Theorem = ALL[1], seed: int = 3, **options: object
) -> tuple[Instance, Prompt, Transformer]:
    """A small instance, a prompt with noise (and ambiguity, where the theorem allows it), and the
    theorem's transformer."""
    rng = np.random.default_rng(seed)
    instance = draw_instance(rng, **(SMALL | dict(theorem.drawn) | options))
    prompt = draw_prompt(rng, instance, noise=1, ambiguous=int(theorem.ambiguity))
    return instance, prompt, theorem.build(instance.spec, instance.tasks, instance.feature_map)


DEFAULT = {"K": 4, "d": 16, "m": 32}
LEAKING = {"dtype": "float64", "coldness": 12.0}
FORMATS = ({}, {"dtype": "float64"}, LEAKING)
CASES = [(ALL[1], DEFAULT)] + [(theorem, options) for theorem in THEOREMS for options in FORMATS]
CASES += [
    (ALL[1], {"features": 5, "n": 4, "sum_slot": True}),
    (ALL[2], {"features": 5}),
    (ALL[2], {"features": 5} | LEAKING),
]


def _name(value: object) -> str:
    if isinstance(value, Theorem):
        return f"theorem{value.number}"
    return "-".join(f"{key}={setting}" for key, setting in value.items()) or "small"


@pytest.mark.slow
@pytest.mark.parametrize(("theorem", "options"), CASES, ids=_name)
def test_a_right_transformer_is_certified(theorem: Theorem, options: dict) -> None:
    instance, prompt, model = _drawn(theorem, **options)
    certificate = certify(theorem, model, instance.tasks, prompt, instance.feature_map)
    assert certificate.holds
    assert len(certificate.lemmas) == len(theorem.checks)
    # The enclosure is a number's, not an interval that says nothing.
    assert certificate.radius < 1e-30
    json.dumps(certificate.as_json(), allow_nan=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("theorem", "kind"),
    [
        (ALL[1], {"noise": 6}),
        (ALL[2], {"noise": 6}),
        (ALL[3], {"noise": 6}),
        (ALL[3], {"pure": True}),
        (ALL[3], {"agree": True}),
    ],
    ids=_name,
)
def test_the_edges_of_a_theorem_are_certified(theorem: Theorem, kind: dict) -> None:
    instance, _, model = _drawn(theorem)
    prompt = draw_prompt(np.random.default_rng(1), instance, **kind)
    certificate = certify(theorem, model, instance.tasks, prompt, instance.feature_map)
    assert certificate.holds
    assert (model(prompt).evidence == 0) == ("noise" in kind)


@pytest.mark.slow
@pytest.mark.parametrize("theorem", THEOREMS, ids=_name)
def test_the_real_answer_leaks_as_the_float64_one_does(theorem: Theorem) -> None:
    instance, prompt, model = _drawn(theorem, dtype="float64", coldness=10.0)
    certificate = certify(theorem, model, instance.tasks, prompt, instance.feature_map)
    verdict = judge(instance.tasks, prompt, instance.spec.tolerance, instance.spec.margin)
    error = np.abs(model(prompt).vector - verdict.vector).max()
    # Theorem 3's gates amplify rounding by 16/(3 eps), about 1e3: the two answers agree to 1e-12.
    amplified = 1e-12 if theorem is ALL[3] else 1e-14
    assert certificate.answer_error == pytest.approx(error, abs=amplified)
    assert certificate.float_distance < amplified < error / 1e3


def _half(array: np.ndarray) -> np.ndarray:
    return array / 2


def _turned(array: np.ndarray) -> np.ndarray:
    return np.roll(array, 1, axis=0)


FAULTS = [
    (ALL[1], "recognize", "W_K", _turned),
    (ALL[1], "fetch", "W_Q", _half),
    (ALL[1], "superpose", "W_O", lambda array: 1.001 * array),
    (ALL[2], "pair", "W_Q", _half),
    (ALL[2], "recognize", "W_K", _turned),
    (ALL[2], "superpose", "W_K", _half),
    (ALL[2], "superpose", "W_O", lambda array: 1.001 * array),
    (ALL[3], "recognize", "W_O", _turned),
    (ALL[3], "tally", "W_Q", _half),
    (ALL[3], "balance", "W_O", lambda array: 1.001 * array),
    (ALL[3], "open", "W_Q", lambda array: 0.99 * array),
    (ALL[3], "correct", "W_O", lambda array: 1.01 * array),
]


@pytest.mark.parametrize(
    ("theorem", "layer", "matrix", "change"),
    FAULTS,
    ids=[f"{t.number}-{layer}-{matrix}" for t, layer, matrix, _ in FAULTS],
)
def test_a_fault_is_not_certified(
    theorem: Theorem, layer: str, matrix: str, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    instance, prompt, model = _drawn(theorem)
    struck = damaged(model, layer, matrix, change)
    certificate = certify(theorem, struck, instance.tasks, prompt, instance.feature_map)
    assert not certificate.holds
    certain = [
        lemma.holds and tie for lemma, tie in zip(certificate.lemmas, certificate.ties, strict=True)
    ]
    assert certificate.lemmas[certain.index(False)].name == layer


def test_the_mask_is_honored() -> None:
    """With all scores 0, a token reads the mean of what it sees: the balls see what the floats do,
    with the mask and without."""
    instance, prompt, model = _drawn(ALL[3])
    even = damaged(model, "recognize", "W_Q", np.zeros_like)
    masked = certify(ALL[3], even, instance.tasks, prompt)
    even.layer("recognize").causal = False
    unmasked = certify(ALL[3], even, instance.tasks, prompt)
    seen = [certificate.lemmas[0].observed for certificate in (masked, unmasked)]
    assert abs(seen[0] - seen[1]) > 1e-3
    for certificate in (masked, unmasked):
        assert certificate.float_distance <= certificate.error_bound < 1e-3


@pytest.mark.parametrize("theorem", THEOREMS, ids=_name)
def test_winners_that_do_not_tie_are_not_certified(theorem: Theorem) -> None:
    """The mean's winners are moved apart by more than their spread, and by less than the answer's
    bound would tell."""
    instance, prompt, model = _drawn(theorem)
    name = "tally" if theorem is ALL[3] else "superpose"
    flag = model.residual.where("e").start
    gains = model.gains
    nudge = 1e-9 + gains.spread(name) + 2 * gains.error(name)

    def apart(array: np.ndarray) -> np.ndarray:
        array[0, 0, flag] += nudge
        return array

    struck = damaged(model, name, "W_K", apart)
    certificate = certify(theorem, struck, instance.tasks, prompt, instance.feature_map)
    index = [lemma.name for lemma in certificate.lemmas].index(name)
    certain = [
        lemma.holds and tie for lemma, tie in zip(certificate.lemmas, certificate.ties, strict=True)
    ]
    assert certain.index(False) == index
    assert certificate.lemmas[index].observed <= certificate.lemmas[index].bound


@pytest.mark.parametrize("theorem", THEOREMS, ids=_name)
def test_what_is_undecided_fails(theorem: Theorem) -> None:
    instance, prompt, model = _drawn(theorem)
    certificate = certify(theorem, model, instance.tasks, prompt, instance.feature_map)
    assert certificate.holds
    assert not replace(certificate, answer_error=float("inf")).holds
    assert not replace(certificate, float_distance=float("nan")).holds
    assert not replace(certificate, ties=[False, *certificate.ties[1:]]).holds


def test_a_ball_that_says_nothing_is_infinite() -> None:
    undecided = balls.flint().arb(0, 1)
    assert balls.upper(undecided) >= 1
    assert balls.upper(balls.flint().arb("nan")) == np.inf


def test_ball_verdict_equals_the_oracle_and_refuses_the_band() -> None:
    instance, prompt, _ = _drawn(features=5)
    spec = instance.spec
    with balls.working_bits(128):
        verdict = verdict_in_balls(
            instance.tasks, prompt, spec.tolerance, spec.margin, instance.feature_map, False
        )
    expected = judge(instance.tasks, prompt, spec.tolerance, spec.margin, instance.feature_map)
    assert (verdict.recognized == expected.recognized).all()
    np.testing.assert_allclose(verdict.vector.astype(float), expected.vector, rtol=0, atol=1e-14)
    between = float(expected.residuals.min(0).max())
    with balls.working_bits(128), pytest.raises(ValueError, match="undecided"):
        verdict_in_balls(
            instance.tasks, prompt, between / 4, between * 2, instance.feature_map, False
        )


def test_matrix_product_in_balls_is_exact() -> None:
    rng = np.random.default_rng(0)
    left, right = (
        rng.integers(-9, 9, (3, 4)).astype(float),
        rng.integers(-9, 9, (4, 2)).astype(float),
    )
    with balls.working_bits(64):
        product = balls.exact(left) * balls.exact(right)
    assert [float(entry) for entry in product.entries()] == (left @ right).ravel().tolist()


@pytest.mark.parametrize("theorem", THEOREMS, ids=_name)
def test_missing_extra_is_named(
    theorem: Theorem, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "flint", None)
    monkeypatch.setattr(sys, "argv", ["verify", "--certify"])
    with pytest.raises(SystemExit) as exit_:
        command.run(theorem)
    message = capsys.readouterr().err
    assert exit_.value.code == 2
    assert message.startswith(command.prog(theorem)) and "certify" in message
    assert message.count("\n") == 1


@pytest.mark.parametrize("theorem", THEOREMS, ids=_name)
def test_the_command_certifies(
    theorem: Theorem, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = [f"--{name}={size}" for name, size in SMALL.items()]
    monkeypatch.setattr(sys, "argv", ["verify", *sizes, "--certify", "--json", "-"])
    with pytest.raises(SystemExit) as exit_:
        command.run(theorem)
    report = json.loads(capsys.readouterr().out)
    assert exit_.value.code == 0
    assert report["holds"] and report["certificate"]["holds"]
