"""Every matrix product asks for the highest precision: a GPU multiplies in TF32 by default, with 11
bits, which breaks scores."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from construct.evaluate import alone, prepared
from construct.evaluate.dense import read_batch
from construct.layers import in_dtype
from construct.prompt import batch_of
from proofs import theorem1 as proof
from tests.evaluate.cases import drawn, model_of
from verify.check import answer_error
from verify.oracle import judge

HIGHEST = jax.lax.Precision.HIGHEST
GPU = any(device.platform == "gpu" for device in jax.devices())


def products(jaxpr):
    """Every matrix product in a program, inner programs included."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation
        for value in equation.params.values():
            for inner in jax.tree.leaves(
                value, is_leaf=lambda leaf: hasattr(leaf, "eqns") or hasattr(leaf, "jaxpr")
            ):
                if hasattr(inner, "jaxpr"):
                    yield from products(inner.jaxpr)
                elif hasattr(inner, "eqns"):
                    yield from products(inner)


def dense(model, prompt):
    return jax.make_jaxpr(
        lambda batch: read_batch(
            model.layers,
            batch,
            np.array(model.slots),
            readout=model.readout,
            residual=model.residual,
            m=model.spec.m,
        )
    )(batch_of([prompt], model.spec))


def restricted(model, prompt, sketch, monkeypatch):
    monkeypatch.setattr(prepared, "sketch_size", lambda *_: sketch)
    ready = prepared.prepare(model, screen=True)
    rows = alone.rows_of(
        [(prompt.query, prompt.inputs, prompt.labels)], prompt.examples, model.spec.dtype
    )
    return jax.make_jaxpr(lambda rows: alone.run(ready.joined, rows, variant=ready.variant))(rows)


@pytest.mark.parametrize("theorem", [1, 2, 3])
@pytest.mark.parametrize("sketch", [None, 0, 3])
def test_all_products_ask_for_the_highest_precision(theorem, sketch, monkeypatch):
    """sketch: None for the dense evaluator, else the coordinates of the restricted one's screen."""
    instance, prompt = drawn(theorem, 1, K=3, d=6, m=8, n=3)
    model = model_of(theorem, instance)
    with in_dtype(model.spec.dtype):
        program = (
            dense(model, prompt)
            if sketch is None
            else restricted(model, prompt, sketch, monkeypatch)
        )
    found = [product.params["precision"] for product in products(program.jaxpr)]
    assert len(found) > 3
    assert all(one in (HIGHEST, (HIGHEST, HIGHEST)) for one in found)


def test_a_product_at_default_precision_is_seen():
    program = jax.make_jaxpr(jax.jit(lambda x: jax.lax.map(lambda row: row @ x, x)))(jnp.eye(3))
    assert [product.params["precision"] for product in products(program.jaxpr)] == [None]


@pytest.mark.skipif(not GPU, reason="needs a GPU: TF32 is its default")
@pytest.mark.parametrize("shape", [(4, 16, 32, 3), (16, 64, 2048, 4)])
@pytest.mark.parametrize("evaluator", ["dense", "restricted"])
def test_the_answer_on_a_gpu_is_within_the_bound(shape, evaluator):
    instance, prompt = drawn(1, 0, **dict(zip("Kdmn", shape, strict=True)))
    spec = instance.spec
    with jax.default_matmul_precision("tensorfloat32"):
        answer = model_of(1, instance)(prompt, evaluator=evaluator)
    verdict = judge(instance.tasks, prompt, spec.tolerance, spec.margin, instance.feature_map)
    assert (answer.recognized == verdict.recognized).all()
    assert answer_error(answer.vector, verdict.vector) <= proof.error_bound(spec)
