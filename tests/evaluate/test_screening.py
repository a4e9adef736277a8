"""Screening: the same recognized tasks as without, whatever the labels do to the sketch."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from construct import Prompt, Spec, Task, build
from construct.evaluate import alone, chunk, plan, screening, streaming
from construct.evaluate.prepared import prepare
from construct.evaluate.screening import sketch_size
from proofs import theorem1 as proof
from verify.check import answer_error

K, D, MARGIN = 48, 16, 0.25
SKETCH = sketch_size(K, D, MARGIN, 1.0)
ROWS = plan.orthonormal_rows(D, SKETCH)


def family(rng):
    """Random rotations, so that every output of a unit input has norm 1."""
    tasks = [Task(0, np.linalg.qr(rng.normal(size=(D, D)))[0]) for _ in range(K)]
    spec = Spec.of(tasks, m=200, n=2, margin=MARGIN, radius=1.5, input_radius=1.0)
    return build(spec, tasks), np.stack([task.weight for task in tasks])


MODEL, W = family(np.random.default_rng(0))


def hidden(rng, count):
    """Vectors of the margin's length (and more) that the sketch does not see at all."""
    free = np.linalg.svd(ROWS)[2][SKETCH:]
    vectors = rng.normal(size=(count, len(free))) @ free
    return (
        vectors
        / np.linalg.norm(vectors, axis=1, keepdims=True)
        * MARGIN
        * rng.uniform(1.02, 1.2, size=(count, 1))
    )


def prompt_of(rng, kinds):
    """Labels by kind: 'right', 'hidden' (wrong by what the sketch does not see), 'noise', just
    within the tolerance: 'edge' (by what the sketch does not see) and 'seen' (by what is all it
    sees)."""
    inputs = rng.normal(size=(len(kinds), D))
    inputs /= np.linalg.norm(inputs, axis=1, keepdims=True)
    which = rng.integers(K, size=len(kinds))
    labels = np.einsum("jab,jb->ja", W[which], inputs)
    unseen, noise = hidden(rng, len(kinds)), rng.normal(size=(len(kinds), D))
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    kinds = np.array(kinds)[:, None]
    seen = rng.normal(size=(len(kinds), SKETCH)) @ ROWS
    seen *= 0.95 * MODEL.spec.tolerance / np.linalg.norm(seen, axis=1, keepdims=True)
    offsets = {"hidden": unseen, "edge": unseen / 6, "seen": seen}
    labels += sum(np.where(kinds == kind, offset, 0) for kind, offset in offsets.items())
    labels = np.where(kinds == "noise", noise, labels)
    misses = np.linalg.norm(np.einsum("iab,jb->ija", W, inputs) - labels, axis=-1)
    spec = MODEL.spec
    decided = ((misses <= spec.tolerance * 0.999) | (misses >= spec.margin * 1.001)).all(0)
    explains = misses <= spec.tolerance
    expected = np.where(explains.sum(0) == 1, explains.argmax(0), -1)
    return inputs[decided][:, None], labels[decided], expected[decided]


def asked(inputs, labels, screen):
    return MODEL.stream([(inputs, labels)], inputs[0], screen=screen)


@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**32 - 1),
    kinds=st.lists(
        st.sampled_from(["right", "hidden", "noise", "edge", "seen"]), min_size=120, max_size=190
    ),
)
def test_recognizes_the_same_tasks(seed, kinds):
    inputs, labels, expected = prompt_of(np.random.default_rng(seed), kinds)
    plain, screened = (asked(inputs, labels, screen) for screen in (False, True))
    assert (plain.recognized == expected).all()
    assert (screened.recognized == plain.recognized).all()
    assert answer_error(screened.vector, plain.vector.astype(float)) <= 2 * proof.rounding(
        MODEL.spec
    )


def test_most_wrong_tasks_are_certified_off_and_hidden_ones_are_not():
    """The test above is about survivors only if the hidden labels survive, and about screening only
    if others do not."""
    inputs, labels, _ = prompt_of(np.random.default_rng(1), ["hidden"] * 80 + ["right"] * 80)
    short = (
        np.linalg.norm(
            np.einsum("sa,ija->ijs", ROWS, np.einsum("iab,jb->ija", W, inputs[:, 0]) - labels),
            axis=-1,
        )
        < MARGIN
    )
    true = np.linalg.norm(np.einsum("iab,jb->ija", W, inputs[:, 0]) - labels, axis=-1) < MARGIN
    assert short.sum() > true.sum()  # heads in doubt that are wrong
    assert short.mean() < 0.1


@pytest.fixture
def recompiled():
    """Nothing compiled under a fault may serve another test, nor the other way round."""
    for compiled in (chunk.run_chunk, alone.run):
        compiled.clear_cache()
    yield
    for compiled in (chunk.run_chunk, alone.run):
        compiled.clear_cache()


@pytest.mark.usefixtures("recompiled")
def test_a_sketch_that_stretches_is_noticed(monkeypatch):
    inputs, labels, expected = prompt_of(np.random.default_rng(2), ["right", "seen"] * 60)
    assert (asked(inputs, labels, True).recognized == expected).all()
    monkeypatch.setattr(plan, "orthonormal_rows", lambda rank, count: 12 * ROWS)
    model = family(np.random.default_rng(0))[0]  # its own plan, made under the fault
    assert (model.stream([(inputs, labels)], inputs[0], screen=True).recognized != expected).any()


@pytest.mark.usefixtures("recompiled")
def test_too_little_doubt_is_noticed(monkeypatch):
    inputs, labels, _ = prompt_of(np.random.default_rng(2), ["right", "hidden"] * 60)
    monkeypatch.setattr(screening, "in_doubt", lambda bound, rival, T: ~(bound <= rival + 2 * T))
    with pytest.raises(
        ValueError, match="a residual of"
    ):  # a sketched score stands that decides nothing
        asked(inputs, labels, True)


def test_all_heads_in_doubt_go_through_the_full_residual():
    """Zero inputs and labels: every task explains every example, so every head of every token
    survives."""
    zeros = np.zeros((100, 1, D))
    plain, screened = (asked(zeros, zeros[:, 0], screen) for screen in (False, True))
    assert (screened.recognized == -1).all() and (plain.recognized == -1).all()


def test_few_tokens_with_many_heads_in_doubt_take_several_passes():
    """Four tokens with all K heads in doubt among right ones: one pass serves one head of a
    token."""
    inputs, labels, expected = prompt_of(np.random.default_rng(3), ["right"] * 150)
    inputs[[3, 50, 51, 99]], labels[[3, 50, 51, 99]], expected[[3, 50, 51, 99]] = 0, 0, -1
    for screen in (False, True):
        assert (asked(inputs, labels, screen).recognized == expected).all()


@pytest.mark.parametrize("heads", [1, 7])
@pytest.mark.usefixtures("recompiled")
def test_survivors_are_served_a_few_at_a_time(monkeypatch, heads):
    """So many heads' weights at once, which does not divide the number of survivors."""
    monkeypatch.setattr(screening, "GATHERED", heads * D**2)
    inputs, labels, expected = prompt_of(np.random.default_rng(4), ["right", "hidden", "edge"] * 50)
    assert (asked(inputs, labels, True).recognized == expected).all()


def test_tasks_that_differ_in_their_slots_alone_are_screened_too():
    """No head then has weights of its own to gather."""
    rng = np.random.default_rng(5)
    tasks = [Task(slot, 0.7 * np.eye(D)) for slot in range(K)]
    spec = Spec.of(tasks, m=100, n=K + 1, margin=MARGIN, radius=1.5, input_radius=1.0)
    inputs = rng.normal(size=(100, K, D))
    inputs /= np.linalg.norm(inputs, axis=2, keepdims=True)
    which = rng.integers(K, size=100)
    labels = 0.7 * inputs[np.arange(100), which]
    answer = build(spec, tasks).stream([(inputs, labels)], inputs[0], screen=True)
    assert (answer.recognized == which).all()


@pytest.mark.parametrize("screen", [False, True])
def test_a_query_of_an_earlier_run_brings_no_sketch_of_its_own(screen):
    """A memory's query is run once, and its examples are screened or not each time."""
    earlier, ready = prepare(MODEL, not screen), prepare(MODEL, screen)
    query = streaming.Query(earlier, np.zeros((1, D), np.float32))
    layers = streaming.OneDevice(ready, query, MODEL.spec.dtype).plan.layers
    terms = [term for layer in layers for bank in layer.banks for term in bank.terms]
    assert any(term.sketch is not None for term in terms) is screen


def test_sketch_sizes():
    """More coordinates for a wider margin or more tasks, none where they would not pay; the chance
    is that of a chi-square."""
    sizes = [sketch_size(64, 64, margin, 1.0) for margin in (0.1, 0.25, 0.3, 0.4, 0.5)]
    assert all(a <= b for a, b in pairwise(sizes)) and sizes[0] > 0 and sizes[-1] < 33
    assert sketch_size(64, 64, 1.9, 1.0) == 0
    assert sketch_size(10**6, 64, 0.25, 1.0) > sketch_size(64, 64, 0.25, 1.0)
    s = sizes[2]
    rng = np.random.default_rng(0)
    reach = 0.3**2 * 64 / 2
    survive = (rng.chisquare(s, size=10**6) < reach).mean()
    assert 64 * survive <= 1.2 / screening.FEW_SURVIVORS
    assert 64 * (rng.chisquare(s - 2, size=10**6) < reach).mean() > 0.8 / screening.FEW_SURVIVORS


def test_a_prompt_is_a_prompt_with_many_tasks():
    """The call screens by itself from many tasks on, and says the same as without."""
    inputs, labels, expected = prompt_of(np.random.default_rng(4), ["right", "noise"] * 50)
    answer = MODEL(Prompt(inputs=inputs, labels=labels, query=inputs[0]), evaluator="restricted")
    assert (answer.recognized == expected).all()
