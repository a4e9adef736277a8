"""Lemmas E1 to E3: norms are identities where the lemmas say so, and a run shows that they are not
where the condition on C fails."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from construct.export.norms import EPS, frame, stream_norm
from proofs.export.norms import change, exact, softmax_change
from verify.theorem import ALL

ORDERS = ("forward", "backward", "halves", "shuffled")


def streams(seed: int, dim: int, norm: float, count: int = 16) -> np.ndarray:
    """Random streams of float32 whose norm is just below a bound, in few or in all coordinates."""
    rng = np.random.default_rng(seed)
    h = rng.normal(size=(count, dim)) * (rng.random((count, dim)) < rng.random((count, 1)))
    h[0] = np.eye(dim)[0]
    length = np.maximum(np.linalg.norm(h, axis=1, keepdims=True), 1e-30)
    return (h / length * norm * (1 - 1e-6)).astype(np.float32)


def summed(values: np.ndarray, order: str, rng: np.random.Generator) -> np.float32:
    """A sum of float32 numbers in an order."""
    if order == "halves" and len(values) > 1:
        middle = len(values) // 2
        return summed(values[:middle], order, rng) + summed(values[middle:], order, rng)
    turned = {"backward": values[::-1], "shuffled": rng.permutation(values)}.get(order, values)
    total = np.float32(0)
    for value in turned:
        total = total + value
    return total


def rms_norm(x: np.ndarray, gain: float, order: str, rng: np.random.Generator) -> np.ndarray:
    """RMSNorm of one vector in float32, as hosts compute it."""
    mean = summed(x * x, order, rng) / np.float32(len(x))
    root = np.float32(1) / np.sqrt(mean + np.float32(EPS["rms"]))
    return x * root * np.float32(gain)


def fused(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """a + b c, rounded once."""
    return (a.astype(float) + b.astype(float) * c).astype(np.float32)


def layer_norm(x: np.ndarray, gain: float, lanes: int) -> np.ndarray:
    """LayerNorm of one vector in float32, its moments computed by fused updates in lanes, chunk by
    chunk, and merged by pairs: as PyTorch does on a CPU."""
    rows = x.reshape(-1, lanes)
    count, mean, spread = 0, np.zeros(lanes, np.float32), np.zeros(lanes, np.float32)
    for first in range(0, len(rows), 16):
        own, m, s = 0, np.zeros(lanes, np.float32), np.zeros(lanes, np.float32)
        for row in rows[first : first + 16]:
            own += 1
            delta = row - m
            m = fused(m, delta, np.float32(1 / own))
            s = fused(s, delta, row - m)
        count, mean, spread = _merged(count, mean, spread, own, m, s)
    total, m, s = 0, np.float32(0), np.float32(0)
    for lane in range(lanes):
        total, m, s = _merged(total, m, s, count, mean[lane], spread[lane])
    root = np.float32(1) / np.sqrt(s / np.float32(len(x)) + np.float32(EPS["layer"]))
    return (x - m) * root * np.float32(gain)


def _merged(count, mean, spread, own, m, s):
    share = np.float32(own / (count + own))
    delta = m - mean
    return count + own, mean + share * delta, spread + s + delta * delta * share * np.float32(count)


@given(st.integers(1, 200), st.integers(0, 10), st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_an_rms_norm_is_the_identity_in_every_order_of_summation(dim, size, seed):
    norm, rng = 2.0**size, np.random.default_rng(seed)
    fitted = frame("rms", dim, norm=norm, dtype="float32")
    assert exact(fitted, norm, "float32")
    for h, order in zip(streams(seed, dim, norm, 4), ORDERS, strict=True):
        x = fitted.hold(h) + fitted.constants().astype(np.float32)
        read = fitted.unheld(rms_norm(x, fitted.gain, order, rng))
        np.testing.assert_array_equal(read, h)


@given(st.integers(1, 150), st.integers(0, 6), st.integers(0, 2**32 - 1), st.sampled_from([8, 16]))
@settings(max_examples=30)
def test_a_layer_norm_is_the_identity_up_to_its_mean(dim, size, seed, lanes):
    norm = 2.0**size
    fitted = frame("layer", dim, norm=norm, dtype="float32", multiple=16)
    assert exact(fitted, norm, "float32")
    for h in streams(seed, dim, norm, 4):
        x = fitted.hold(h) + fitted.constants().astype(np.float32)
        normed = layer_norm(x, fitted.gain, lanes)
        assert np.abs(normed[0]) == fitted.C, "a constant comes back as itself"
        read = fitted.unread(normed) / 2
        # The mean, which is not quite 0, is subtracted from h and from -h: each rounds.
        np.testing.assert_allclose(read, h, rtol=2.0**-23, atol=norm * 2.0**-40)
    one = np.eye(dim, dtype=np.float32)[0]  # words, flags and verdicts are whole numbers
    x = fitted.hold(one) + fitted.constants().astype(np.float32)
    np.testing.assert_array_equal(fitted.unread(layer_norm(x, fitted.gain, lanes)) / 2, one)


@pytest.mark.parametrize("kind", ["rms", "layer"])
def test_below_the_condition_the_norm_is_no_identity(kind):
    norm, rng = 4.0, np.random.default_rng(0)
    fitted = frame(kind, 40, norm=norm, dtype="float32", multiple=16)
    weak = replace(fitted, C=2.0**5)
    assert exact(fitted, norm, "float32") and not exact(weak, norm, "float32")
    h = streams(1, 40, norm)[1]
    x = weak.hold(h) + weak.constants().astype(np.float32)
    normed = rms_norm(x, weak.gain, "halves", rng) if kind == "rms" else layer_norm(x, weak.gain, 8)
    off = np.linalg.norm(weak.unread(normed) / weak.copies - h)
    assert 100 * 2.0**-24 * norm < off
    # Lemma E1 says by how much, and is met.
    assert change(weak, norm) * norm / 2 < off <= change(weak, norm) * norm * (1 + 1e-3)


@given(st.integers(1, 50), st.integers(0, 12), st.sampled_from(["rms", "layer"]))
def test_lemma_E1_in_exact_arithmetic(dim, power, kind):
    norm = 3.0
    fitted = replace(frame(kind, dim, norm=norm, dtype="float32", multiple=16), C=2.0**power)
    square = Fraction(fitted.pads) * Fraction(fitted.C) ** 2
    x = (fitted.copies * Fraction(norm) ** 2 + Fraction(EPS[kind]) * fitted.width) / square
    lost = 1 - 1 / np.sqrt(1 + float(x))
    assert 0 <= lost <= change(fitted, norm) * (1 + 1e-12) + 2e-16


def test_lemma_E3_bounds_a_softmax():
    rng = np.random.default_rng(3)
    for _ in range(100):
        scores, eta = rng.uniform(-50, 50, 20), 10 ** rng.uniform(-8, -4)
        moved = scores * (1 - eta * rng.random(20)) * (1 - eta * rng.random(20))
        before, after = (np.exp(s - s.max()) / np.exp(s - s.max()).sum() for s in (scores, moved))
        assert np.abs(before - after).sum() <= softmax_change(eta, 50.0)


@pytest.mark.slow
@pytest.mark.parametrize("theorem", ALL.values(), ids=str)
def test_the_bound_on_the_stream_holds_at_every_place(theorem):
    rng = np.random.default_rng(7)
    made = theorem.draw_instance(rng, K=3, d=6, m=6, n=theorem.n, **theorem.drawn)
    model = theorem.build(made.spec, made.tasks, made.feature_map)
    bound = stream_norm(model)
    for _ in range(3):
        trace = model.trace(theorem.draw_prompt(rng, made), attention=False)
        for stream in (*trace.streams.values(), *trace.middles.values()):
            assert np.linalg.norm(stream.astype(float), axis=1).max() <= bound


def test_frames_fit_heads_and_hold_what_they_are_given():
    rng = np.random.default_rng(0)
    for kind in ("none", "rms", "layer"):
        for dim in (1, 7, 63, 300):
            multiple = 1 if kind == "none" else 64
            fitted = frame(kind, dim, norm=3.0, dtype="float32", multiple=multiple)
            assert fitted.width % multiple == 0
            h, rows = rng.normal(size=(4, dim)), rng.normal(size=(3, dim))
            held = fitted.hold(h) + fitted.constants()
            np.testing.assert_allclose(held @ fitted.reading(rows).T, h @ rows.T, atol=1e-9)
            np.testing.assert_array_equal(fitted.unheld(held), h)
