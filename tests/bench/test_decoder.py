"""The decoder: against a plain NumPy pass, and what can be changed in a run."""

import jax.numpy as jnp
import numpy as np
import pytest

from verify.bench.subject import Change
from verify.bench.subjects import open_subject
from verify.bench.subjects.decoder import DecoderSubject, Tokens
from verify.bench.subjects.smollm2 import SmolLM2, unpermuted
from verify.bench.tasksets import Case
from verify.decoder import Decoder, Shape, logits_of

SHAPE = Shape(layers=2, width=8, heads=4, kv_heads=2, vocabulary=11, hidden=12, scale=2.0)
DECODER = Decoder.random(SHAPE, 0)
W = {name: np.asarray(value, np.float64) for name, value in DECODER.weights.items()}


class Bare(DecoderSubject):
    """Words are numbers below 11; a line is an input, 9 and the label, which may be two tokens."""

    batch, bucket = 2, 4

    def first_token(self, word):
        return int(word.split()[0])

    def tokens(self, case):
        text, labels = [10], []
        for (word,), label in case.lines:
            text += [int(word), 9, *map(int, label.split())]
            labels.append(len(text) - 1)
        text += [int(case.query[0]), 9]
        places = (len(text) - 1, labels[-1] if labels else 0, 1, len(text) - 2)
        answers = tuple([int(x) for x in a.split()] for a in case.answers)
        return Tokens(text, places, tuple(labels), answers)


BARE = Bare("bare", DECODER)
CASES = [
    Case(((("1",), "2 3"), (("4",), "5")), (0, 1), ("6",), ("7 8 1", "2")),
    Case(((("3",), "3"),), (1,), ("2",), ("0 4", "0 5 5")),
    Case((), (), ("2",), ("8", "1")),
]
BARE._labels = np.array([2, 7])


def forward(tokens, keep=None, replace=None):
    """The pass as its definition says, in float64: logits, streams, heads' outputs."""
    T, H, h = len(tokens), SHAPE.heads, SHAPE.head_width

    def norm(x, gain):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + SHAPE.epsilon) * gain

    def rotated(x):
        out = x.copy()
        for i in range(h // 2):
            angle = np.arange(T) * SHAPE.base ** (-i / (h // 2))
            a, b = x[:, i], x[:, i + h // 2]
            out[:, i] = a * np.cos(angle) - b * np.sin(angle)
            out[:, i + h // 2] = b * np.cos(angle) + a * np.sin(angle)
        return out

    x = W["embedding"][tokens] * SHAPE.scale
    streams, heads = [x], []
    for layer in range(SHAPE.layers):
        y, written = norm(x, W["attention_norm"][layer]), []
        for head in range(H):
            group = head // (H // SHAPE.kv_heads)
            own, shared = slice(head * h, head * h + h), slice(group * h, group * h + h)
            q, k = rotated(y @ W["q"][layer][:, own]), rotated(y @ W["k"][layer][:, shared])
            scores = np.where(np.tri(T) > 0, q @ k.T / np.sqrt(h), -np.inf)
            weights = np.exp(scores - scores.max(1, keepdims=True))
            weights /= weights.sum(1, keepdims=True)
            gathered = weights @ y.__matmul__(W["v"][layer][:, shared])
            factor = 1 if keep is None else keep[layer][head]
            written.append(factor * gathered @ W["o"][layer][own])
        x = x + sum(written)
        y = norm(x, W["mlp_norm"][layer])
        gate = y @ W["gate"][layer]
        x = x + (gate / (1 + np.exp(-gate)) * (y @ W["up"][layer])) @ W["down"][layer]
        if replace is not None and replace[0] == layer + 1:
            x = x.copy()
            x[-1] = replace[1]
        streams.append(x)
        heads.append(np.stack(written))
    return norm(x, W["norm"]) @ W["unembedding"].T, streams, heads


def chances(tokens, answer, **changes):
    """The probability of an answer's tokens, one pass a token."""
    p = 1.0
    for i, token in enumerate(answer):
        logits = forward([*tokens, *answer[:i]], **changes)[0][-1]
        p *= np.exp(logits[token]) / np.exp(logits).sum()
    return p


def test_the_pass_is_the_definitions():
    tokens = np.array([3, 1, 4, 1, 5, 9, 2])
    found = logits_of(DECODER.weights, jnp.asarray(tokens), SHAPE, slice(None))
    np.testing.assert_allclose(found, forward(tokens)[0], rtol=1e-4, atol=1e-4)


def test_answers_of_several_tokens_are_products_of_their_tokens():
    run = BARE.run(CASES)
    for case, row in zip(CASES, run.answers, strict=True):
        tokens = BARE.tokens(case)
        expected = [chances(tokens.text, answer) for answer in tokens.answers]
        np.testing.assert_allclose(row, expected, rtol=1e-4)


def test_what_a_run_shows():
    run = BARE.run(CASES, heads="label")
    case = BARE.tokens(CASES[0])
    logits, streams, heads = forward(case.text)
    p = np.exp(logits[-1]) / np.exp(logits[-1]).sum()
    assert run.inside[0] == pytest.approx(p[[2, 7]].sum(), rel=1e-4)
    assert run.top[0] == pytest.approx(p.max(), rel=1e-4)
    assert run.ranked[0, 1] == pytest.approx(np.sort(p)[-2], rel=1e-4)
    assert run.top_inside[0] == (p.argmax() in (2, 7))
    for i, place in enumerate(case.places):
        expected = [x[place] for x in streams]
        np.testing.assert_allclose(run.streams[0, i], expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        run.heads[0], [h[:, case.labels[-1]] for h in heads], rtol=1e-3, atol=1e-4
    )
    assert run.scale[0] == pytest.approx(np.sqrt((streams[-1][-1] ** 2).mean() + 1e-6), rel=1e-4)
    assert BARE.run(CASES).heads.shape[1] == 0


def test_heads_are_ablated_and_the_stream_replaced():
    keep = np.ones((2, 4))
    keep[0, 1] = keep[1, 2] = 0
    tokens = BARE.tokens(CASES[2])
    found = BARE.run(CASES[2:], Change(keep=keep)).answers[0]
    expected = [chances(tokens.text, answer, keep=keep) for answer in tokens.answers]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    vector = np.linspace(-1, 1, 8)
    found = BARE.run(CASES[2:], Change(layer=1, vector=vector)).answers[0]
    expected = [chances(tokens.text, a, replace=(1, vector)) for a in tokens.answers]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    own = BARE.run(CASES[2:]).at("answer")[0, 1]
    added = BARE.run(CASES[2:], Change(layer=1, vector=vector - own, add=True)).answers[0]
    np.testing.assert_allclose(added, found, rtol=1e-3)


def test_slopes_are_difference_quotients():
    slopes = BARE.slopes(CASES[:1], (0, 1))

    def score(change):
        p = BARE.run(CASES[:1], change).answers[0]
        return np.log(p[0]) - np.log(p[1])

    step = 1e-2
    for layer, head in ((0, 0), (1, 3)):
        ends = []
        for sign in (1, -1):
            keep = np.ones((2, 4))
            keep[layer, head] += sign * step
            ends.append(score(Change(keep=keep)))
        quotient = (ends[0] - ends[1]) / (2 * step)
        assert slopes.keep[0, layer, head] == pytest.approx(quotient, rel=0.02, abs=2e-3)
    ends = [score(Change(layer=1, vector=sign * step * np.eye(8)[3], add=True)) for sign in (1, -1)]
    quotient = (ends[0] - ends[1]) / (2 * step)
    assert slopes.stream[0, 1, 3] == pytest.approx(quotient, rel=0.02, abs=2e-3)


def test_unpermuted_puts_pairs_back():
    # GGUF has the two halves of a head interleaved.
    halves = np.arange(2 * 6 * 3).reshape(2, 2, 3, 3)
    stored = halves.swapaxes(1, 2).reshape(12, 3)
    np.testing.assert_array_equal(unpermuted(stored, 2), halves.reshape(12, 3))


def test_a_missing_model_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("SMOLLM2", str(tmp_path))
    with pytest.raises(ValueError, match=r"smollm2: .*`make llm`") as caught:
        SmolLM2()
    assert "\n" not in str(caught.value)


def test_an_unknown_subject_is_refused():
    with pytest.raises(ValueError, match="subject 'nobody' is unknown"):
        open_subject("nobody")
