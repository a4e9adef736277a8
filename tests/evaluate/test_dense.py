"""The forward pass: equal to NumPy, whole or in chunks; hooks, traces, precision, and JAX's own
transformations."""

from dataclasses import asdict

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from construct.evaluate import alike
from construct.evaluate import dense as forward
from construct.layers import Support, in_dtype
from construct.prompt import batch_of, embed
from proofs import theorem1 as proof
from tests.evaluate.cases import drawn, model_of
from tests.strategies import Case, Shape
from tests.theorem1.cases import FEATURES, RANDOM, SUMS

DOUBLE = Case("random", Shape(6, 10, 9, 3, features=20, dtype="float64"), 2, (9,), (1,), (1,))


def stream_of(case):
    """The embedded last prompt, as the model sees it."""
    with in_dtype(case.spec.dtype):
        batch = jax.tree.map(lambda part: part[0], batch_of([case.prompts[-1]], case.spec))
        return embed(batch, case.model.residual, case.spec.m)


def naive(model, stream):
    """Seven layers in plain NumPy float64, one head at a time."""
    h = np.array(stream, float)
    for layer in model.layers:
        after = h.copy()
        for bank in layer.banks:
            for W_Q, W_K, W_V, W_O in zip(
                *(np.array(p[...], float) for p in (bank.W_Q, bank.W_K, bank.W_V, bank.W_O)),
                strict=True,
            ):
                scores = (h @ W_Q.T) @ (h @ W_K.T).T
                weights = np.exp(scores - scores.max(1, keepdims=True))
                after += weights / weights.sum(1, keepdims=True) @ (h @ W_V.T) @ W_O.T
        if layer.mlp is not None:
            after += (
                np.maximum(after @ np.array(layer.mlp.W_1[...], float).T, 0)
                @ np.array(layer.mlp.W_2[...], float).T
            )
        h = after
    return h


@pytest.mark.parametrize(
    "case", [RANDOM, SUMS, FEATURES, DOUBLE], ids=["float32", "sums", "features", "float64"]
)
def test_dense_equals_numpy(case):
    stream, _ = stream_of(case)
    trace = case.model.trace(case.prompts[-1])
    # Both are within the lemmas' bounds of one ideal stream, whatever the coordinate.
    tolerance = 2 * max(asdict(proof.errors(proof.setting(case.spec))[-1]).values())
    assert np.abs(trace.streams["superpose"] - naive(case.model, stream)).max() <= tolerance
    assert np.abs(
        trace.answer.vector - case.model(case.prompts[-1]).vector
    ).max() <= 2 * proof.error_bound(case.spec)


@pytest.mark.slow
@pytest.mark.parametrize("pieces", [1, 7])
def test_chunks_change_nothing(monkeypatch, pieces):
    (stream, real), layers = stream_of(RANDOM), RANDOM.model.layers
    whole = forward.run(layers, stream, real)[-1]
    ties = jnp.zeros((7, 2))
    _, once = alike.run(alike.alike(layers), stream, real, ties, keep=True)
    monkeypatch.setattr(forward, "chunk_bytes", lambda: 4 * len(stream) * 4 * pieces)
    chunked = forward.run(layers, stream, real)[-1]
    recorded, done = alike.run(alike.alike(layers), stream, real, ties, keep=True)
    where = RANDOM.model.residual.where("y")
    for other in (chunked, recorded[-1]):
        assert np.abs(np.array(whole - other))[where].max() <= 2 * proof.error_bound(RANDOM.spec)
    assert done.seen.pattern.shape == (7, 4, len(stream), len(stream))
    # Each row is its own token's, whatever the chunk: to the rounding of scores of up to 2^10.
    for one, other in zip(jax.tree.leaves(done), jax.tree.leaves(once), strict=True):
        assert np.allclose(one, other, rtol=1e-4, atol=1e-4)


def test_hooks_read_and_replace():
    seen = []
    before = RANDOM.model(RANDOM.prompts[-1])
    read = RANDOM.model(
        RANDOM.prompts[-1], hooks={("pair", "y"): lambda y: seen.append(np.array(y))}
    )
    assert seen[0].shape == (RANDOM.spec.tokens, RANDOM.spec.d)
    assert np.abs(read.vector - before.vector).max() <= 2 * proof.error_bound(RANDOM.spec)
    silenced = RANDOM.model(RANDOM.prompts[-1], hooks={("commit", "ok"): jnp.zeros_like})
    assert not silenced.vector.any()
    assert silenced.message == "no evidence"


@pytest.mark.parametrize(
    ("hooks", "match"),
    [
        (
            {("pears", "y"): lambda y: y},
            "hooks = 'pears': must name a layer or a place in one; use one of embed, lift",
        ),
        ({("pair", "peel"): lambda y: y}, "subspace = 'peel': must be a subspace"),
        ({("pair", "y"): lambda y: y[:1]}, "must have shape"),
    ],
    ids=["layer", "subspace", "shape"],
)
def test_bad_hooks_are_refused(hooks, match):
    with pytest.raises(ValueError, match=match):
        RANDOM.model(RANDOM.prompts[-1], hooks=hooks)


def test_trace_names_everything():
    trace = RANDOM.model.trace(RANDOM.prompts[-1])
    names = [layer.name for layer in RANDOM.model.layers]
    assert (
        list(trace.streams) == ["embed", *names]
        and list(trace.gaps) == list(trace.attention) == names
    )
    assert len(trace.tokens) == RANDOM.spec.tokens
    assert (trace.tokens[0], trace.tokens[3], trace.tokens[-1]) == ("BOS", "y0", "answer")
    assert all(np.allclose(weights.sum(-1), 1, atol=1e-6) for weights in trace.attention.values())
    assert not RANDOM.model.trace(RANDOM.prompts[-1], attention=False).attention


def test_float64_leaves_the_global_setting_alone():
    assert not jax.config.jax_enable_x64
    answer = DOUBLE.model(DOUBLE.prompts[-1])
    assert not jax.config.jax_enable_x64
    assert answer.vector.dtype == np.float64
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(DOUBLE.model))} == {
        np.dtype("float64")
    }
    assert jnp.ones(1).dtype == np.float32
    with jax.enable_x64(True):
        assert RANDOM.model(RANDOM.prompts[-1]).vector.dtype == np.float32


def loss(layers, stream, real):
    return (forward.run(layers, stream, real)[-1] ** 2).sum()


@pytest.mark.slow
def test_jit_vmap_and_gradients():
    stream, real = stream_of(RANDOM)
    graph, state = nnx.split(RANDOM.model)

    def value(state, stream):
        return loss(nnx.merge(graph, state).layers, stream, real)

    plain = value(state, stream)
    assert np.allclose(jax.jit(value)(state, stream), plain, rtol=1e-5)
    both = jax.vmap(value, in_axes=(None, 0))(state, jnp.stack([stream, stream]))
    assert np.allclose(both, plain, rtol=1e-5)
    gradients = jax.grad(value)(state, stream)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
    optimizer = optax.sgd(1e-3)
    updates, _ = optimizer.update(gradients, optimizer.init(state), state)
    stepped = jax.tree.leaves(optax.apply_updates(state, updates))
    for new, old, slope in zip(
        stepped, jax.tree.leaves(state), jax.tree.leaves(gradients), strict=True
    ):
        assert jnp.allclose(new, old - 1e-3 * slope, rtol=1e-5)
    assert any(jnp.any(leaf != 0) for leaf in jax.tree.leaves(gradients))


def test_split_and_merge_keep_the_answer():
    model = nnx.merge(*nnx.split(RANDOM.model))
    assert (model(RANDOM.prompts[-1]).vector == RANDOM.model(RANDOM.prompts[-1]).vector).all()


def test_idle_heads_are_skipped_until_they_live():
    model = nnx.clone(RANDOM.model)
    layer = model.layer("pair")
    idle = layer.banks[1]
    assert idle.terms == (("idle", 1),) and layer.support is Support.EXAMPLE
    stream, real = stream_of(RANDOM)
    skipped = forward.apply_layer(layer, stream, real)
    _, done = alike.run(alike.alike([layer]), stream, real, jnp.zeros((1, 2)), keep=False)
    assert np.abs(np.array(skipped - done.streams[0])).max() <= 1e-6
    idle.W_V[...] = idle.W_V[...].at[0, 0, 0].set(1.0)
    idle.W_O[...] = idle.W_O[...].at[0, 0, 0].set(1.0)
    alive = forward.apply_layer(layer, stream, real)
    assert np.abs(np.array(alive - skipped)).max() > 1e-3


def test_a_mean_is_divided_and_not_multiplied_by_a_reciprocal():
    """7 times the mean of 7 words is their sum to the last bit; 14 times the float next to 1/7 is
    not 2."""
    instance, prompt = drawn(1, 0, K=3, d=4, m=9, n=9, sum_slot=True, one_hot=True)
    found = model_of(1, instance).trace(prompt).read("lift", "x")[1:].reshape(-1, 9, 4)[:-1]
    assert (found[:, -2] == prompt.inputs[:, :-1].sum(1)).all()
    assert found[:, -2].max() >= 2
