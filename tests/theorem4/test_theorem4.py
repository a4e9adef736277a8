"""Theorem 4 as a whole: thousands of cases, structure, evaluators, hooks, pure functions, files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from construct import Transformer, theorem1
from construct.words import one_hot
from proofs.theorem4 import error_bound
from tests.mutants import theorem4 as edge
from tests.properties.padded import unchecked
from tests.theorem4.test_generation import BOUND, MODEL, PROMPT, SPEC, D
from tests.theorem4.vectors.test_vectors import MODEL as ON_VECTORS
from verify.check import check_structure
from verify.enclosure import certify
from verify.theorem import ALL
from verify.theorem4 import THEOREM4
from verify.theorem4.cases import attack
from verify.verification import verify


@pytest.mark.slow
def test_random_and_adversarial_cases_are_within_their_bounds():
    found = attack(300)
    assert found.outside == [] and found.cases == 300
    assert len(found.shapes) <= 24 and found.answers > 150 and found.without_evidence > 20
    assert max(found.ratio.values()) > 0.3, "the bounds are no empty words"


def test_the_structure_is_the_statement_s():
    assert check_structure(THEOREM4, MODEL, SPEC) == []
    assert check_structure(ALL[3], MODEL, SPEC)
    assert [layer.heads for layer in MODEL.layers] == [3] * 4
    moving = [sum(not bank.idle for bank in layer.banks) for layer in MODEL.layers]
    assert moving == [1, 1, 0, 1]
    assert "Theorem 4" in str(MODEL) and "omega 3" in str(MODEL)


def test_a_run_verifies_and_a_wrong_model_does_not():
    instance = edge.instance()
    report = verify(THEOREM4, instance, edge.prompts()[:3])
    assert report.holds and len(report.lemmas) == 4
    other = THEOREM4.build(instance.spec, instance.tasks[::-1])
    assert not verify(THEOREM4, instance, edge.prompts()[:3], model=other).holds


@pytest.mark.parametrize("coldness", [None, 12.0])
def test_it_is_certified(coldness):
    one = edge.instance("float64", coldness)
    model = THEOREM4.build(one.spec, one.tasks)
    certificate = certify(THEOREM4, model, one.tasks, edge.prompts("float64", coldness)[1])
    assert certificate.holds and certificate.radius < 1e-30
    if coldness is not None:
        assert 1e-7 < certificate.answer_error <= certificate.error_bound


@pytest.mark.parametrize("evaluator", ["restricted", "reference", "bf16"])
def test_evaluators_that_do_not_serve_it_are_refused_by_name(evaluator):
    with pytest.raises(ValueError, match=f"'{evaluator}': does not serve Theorem 4.*'dense'"):
        MODEL(PROMPT, evaluator=evaluator)
    assert MODEL(PROMPT, evaluator="dense").evaluator == "dense"


def test_a_stream_or_memory_of_examples_is_refused():
    for name, call in (
        ("stream", lambda: MODEL.stream([], np.zeros((1, D)))),
        ("remember", lambda: MODEL.remember(PROMPT)),
    ):
        with pytest.raises(
            ValueError, match=rf"model\.{name} = asked of Theorem 4: needs .*; call"
        ):
            call()


def test_hooks_and_traces_see_the_prompt_s_own_tokens():
    trace = MODEL.trace(PROMPT.after((0,)))
    assert trace.tokens[:6] == ("BOS", "x0.0", "arrow0", "y0.1", "y0.2", "y0.3")
    assert trace.tokens[-3:] == ("q0", "arrow", "y1")
    assert len(trace.streams["embed"]) == len(trace.tokens) == PROMPT.tokens + 1
    seen = {}
    MODEL(PROMPT, hooks={"posterior.attn.pattern": lambda p: seen.update(p=np.asarray(p))})
    assert seen["p"].shape == (3, PROMPT.tokens, PROMPT.tokens)
    only_2 = {("posterior.resid_mid", "omega"): lambda w: w.at[-1].set(jnp.array([0.0, 0.0, 1.0]))}
    assert MODEL(PROMPT, hooks=only_2).vector.argmax() == 5


@pytest.mark.parametrize("model", [MODEL, ON_VECTORS], ids=["words", "vectors"])
@pytest.mark.parametrize("change", ["m", "none", "S", "L", "d", "prefix"])
def test_embed_refuses_what_is_no_prompt_of_its_spec(model, change):
    spec, S = model.spec, model.inputs_per_line
    count = {"m": spec.m + 1, "none": 0}.get(change, 1)
    d = spec.d + (change == "d")
    x = np.zeros((count, S + (change == "S"), d), np.float32)
    y = np.zeros((count, spec.L + (change == "L"), d), np.float32)
    q = np.zeros(x.shape[1:], np.float32)
    prefix = np.zeros((spec.L + 1, d), np.float32) if change == "prefix" else None
    with unchecked(), pytest.raises(ValueError, match=r"(inputs|answers|prefix) = "):
        model.embed(x, y, q, prefix)


def test_embed_and_forward_are_pure_functions():
    parts = [one_hot(part, D) for part in (PROMPT.inputs, PROMPT.answers, PROMPT.query)]

    @jax.jit
    def said(prefix):
        stream, real = MODEL.embed(*parts, prefix)
        return MODEL.residual.read(MODEL.forward(stream, real)[-1], "y")

    words = np.eye(D)[[0]]
    np.testing.assert_allclose(said(words), MODEL.next(PROMPT, (0,)).vector, atol=2 * BOUND)
    slopes = jax.grad(lambda prefix: said(prefix)[1])(jnp.asarray(words, jnp.float32))
    assert np.isfinite(slopes).all()


def test_a_file_holds_the_same_bits(tmp_path):
    MODEL.save(tmp_path / "model.safetensors")
    loaded = Transformer.load(tmp_path / "model.safetensors")
    one, other = (model.generate(PROMPT, how="greedy") for model in (MODEL, loaded))
    assert (one.distributions == other.distributions).all()
    assert (one.posterior == other.posterior).all() and loaded.as_built


def test_no_other_theorem_s_transformer_generates():
    assert not hasattr(theorem1.Transformer, "generate")
    assert error_bound(SPEC) == BOUND
