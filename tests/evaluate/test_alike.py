"""Layers padded to one shape do what they do each by itself, and large ones stay by themselves."""

from functools import cache

import jax.numpy as jnp
import numpy as np
import pytest

from construct.evaluate import alike as module
from construct.evaluate.alike import alike, run, small
from construct.evaluate.dense import feed
from construct.floats import gamma
from verify.theorem import ALL
from verify.theorem4.vectors import THEOREM4_VECTORS

THEOREMS = (*ALL.values(), THEOREM4_VECTORS)


@cache
def drawn(theorem):
    """A small instance's prompt and transformer."""
    rng = np.random.default_rng(0)
    instance = theorem.draw_instance(rng, K=3, d=4, m=6, n=3, **theorem.drawn)
    prompt = theorem.draw_prompt(rng, instance, noise=1)
    return instance, prompt, theorem.build(instance.spec, instance.tasks)


@pytest.mark.parametrize("theorem", THEOREMS, ids=str)
def test_one_group_is_what_each_layer_does_by_itself(theorem, monkeypatch):
    instance, prompt, model = drawn(theorem)
    layers, tokens = list(model.layers), len(model.trace(prompt).tokens)
    assert small(layers, tokens)
    together = model.trace(prompt)
    monkeypatch.setattr(module, "CACHE", 0)
    assert not small(layers, tokens)
    apart = model.trace(prompt)
    # Each is within the lemmas' bounds of one ideal stream, and its scores within theirs.
    bounds = theorem.proof.errors(theorem.proof.setting(instance.spec, prompt))
    scores = dict(model.gains.score_error)
    for layer, bound in zip(model.layers, bounds, strict=True):
        name = layer.name
        for subspace in model.residual.names:
            one, other = (trace.read(name, subspace) for trace in (together, apart))
            assert np.abs(one - other).max() <= 2 * getattr(bound, subspace, 0)
        # A score is within its error in either; a gap is a difference of two of them.
        error = 2 * scores[name]
        assert np.allclose(together.best[name], apart.best[name], rtol=0, atol=error)
        assert np.allclose(together.gaps[name], apart.gaps[name], rtol=0, atol=2 * error)
        assert (together.near[name] == apart.near[name]).all()
        weights, others = together.attention[name], apart.attention[name]
        assert np.abs(weights - others).max() <= np.expm1(2 * error) + 1e-6
        if layer.mlp is None:
            assert (together.middles[name] == together.streams[name]).all()
    assert (together.answer.recognized == apart.answer.recognized).all()


@pytest.mark.parametrize("theorem", THEOREMS, ids=str)
def test_what_heads_did_is_what_numpy_makes_of_their_scores(theorem):
    _, prompt, model = drawn(theorem)
    trace, gains = model.trace(prompt), model.gains
    scores_error = dict(gains.score_error)
    before = list(trace.streams.values())
    for layer, stream in zip(model.layers, before, strict=False):
        h, error = stream.astype(float), 2 * scores_error[layer.name]
        pairs = [[np.array(W[...], float) for W in (bank.W_Q, bank.W_K)] for bank in layer.banks]
        scores, sizes = (
            np.concatenate(
                [np.einsum("qd,had,hae,ke->hqk", f(h), f(Q), f(K), f(h)) for Q, K in pairs]
            )
            for f in (np.asarray, np.abs)
        )
        # Sums of D products twice, and of the rank's; a gap is a difference of two scores.
        terms = 2 * h.shape[1] + max(Q.shape[1] for Q, _ in pairs)
        allowed = 2 * gamma(terms, stream.dtype.name) * sizes.max()
        if layer.causal:
            scores[:, np.triu(np.ones((len(h), len(h)), bool), 1)] = -np.inf
        top = scores.max(2, keepdims=True)
        losers = scores < top - gains.spread(layer.name) - error
        gap = top[:, :, 0] - np.where(losers, scores, -np.inf).max(2)
        near = (losers & (scores > top - 2 * gains.T + error)).sum(2)
        assert np.allclose(trace.gaps[layer.name], gap, rtol=0, atol=allowed)
        assert (trace.near[layer.name] == near).all()
        assert np.allclose(trace.best[layer.name], scores[:, :, 1:].max(2), rtol=0, atol=allowed)


@pytest.mark.parametrize("theorem", THEOREMS, ids=str)
def test_a_row_of_one_shape_is_its_layer_and_zeros(theorem):
    _, _, model = drawn(theorem)
    layers = list(model.layers)
    rows = alike(layers, np)
    for i, layer in enumerate(layers):
        first = 0
        for bank in layer.banks:
            heads = slice(first, first + bank.count)
            for name in ("W_Q", "W_K", "W_V", "W_O"):
                held, own = getattr(rows.bank, name)[i][heads], np.asarray(getattr(bank, name)[...])
                assert (held[tuple(map(slice, own.shape))] == own).all()
                assert np.count_nonzero(held) == np.count_nonzero(own)
            first += bank.count
        matrices = {} if layer.mlp is None else layer.mlp.matrices
        for name in ("W_1", "W_2", "W_3"):
            held = getattr(rows, name)
            if name in matrices:
                own = np.asarray(matrices[name][...])
                assert (held[i][tuple(map(slice, own.shape))] == own).all()
            else:
                assert held is None or not held[i].any()
        assert rows.causal[i] == layer.causal and rows.gated[i] == ("W_3" in matrices)


def test_a_gate_of_one_layer_does_not_close_the_others():
    """Of layers of one shape, one may have a gate and another none; a gate of zeros is shut."""
    _, _, model = drawn(ALL[1])
    layer = model.layer("commit")
    rng = np.random.default_rng(1)
    rows = alike([layer, layer])
    W_1, W_2 = (jnp.asarray(rng.normal(size=part.shape), jnp.float32) for part in rows[3:5])
    stream = jnp.asarray(rng.normal(size=(5, W_1.shape[2])), jnp.float32)
    mixed = rows._replace(W_1=W_1, W_2=W_2, W_3=jnp.zeros_like(W_1), gated=np.array([True, False]))
    _, done = run(mixed, stream, jnp.ones(5, bool), jnp.zeros((2, 2)), False)
    assert (done.streams[0] == done.middles[0]).all()
    assert (done.streams[1] == feed(done.middles[1], W_1[1], W_2[1])).all()
    assert (done.streams[1] != done.middles[1]).any()


def test_a_weight_that_is_changed_between_two_traces_counts():
    instance, prompt, _ = drawn(ALL[1])
    model = ALL[1].build(instance.spec, instance.tasks)
    before = model.trace(prompt, enforce=False)
    bank = model.layer("recognize").banks[0]
    bank.W_K[...] = jnp.zeros_like(bank.W_K[...])
    after = model.trace(prompt, enforce=False)
    called = model(prompt, evaluator="dense", enforce=False)
    assert (after.answer.recognized != before.answer.recognized).any()
    assert (after.answer.recognized == called.recognized).all()


def test_only_what_fits_a_cache_is_padded():
    instance, _, model = drawn(ALL[1])
    layers, tokens = list(model.layers), instance.spec.tokens
    assert small(layers, tokens)
    assert not small(layers, 1 << 9)  # 3 heads' scores of 512 tokens take 3 MiB
    wide = ALL[1].draw_instance(np.random.default_rng(0), K=16, d=64, m=6, n=3)
    assert not small(list(ALL[1].build(wide.spec, wide.tasks).layers), wide.spec.tokens)
