"""What fails when a hypothesis is dropped: one concrete counterexample for each lemma of the proof.

The edge refuses these prompts and Specs; hooks and hand-made gains go around it.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from construct import Prompt, Spec, Task, Transformer, build
from construct.theorem1 import SEVEN
from construct.theorem1.gains import Gains, Infeasible, derive
from construct.theorem1.readout import READOUT
from construct.theorem1.stream import residual_stream

TASKS = [
    Task(slot=0, weight=np.eye(2)),
    Task(slot=0, weight=-np.eye(2)),
    Task(slot=1, weight=np.eye(2)),
]
SPEC = Spec.of(TASKS, m=3, n=3, margin=0.5, radius=1.0, input_radius=1.0)
INPUTS = np.array([[[1.0, 0.0], [0.0, 1.0]]] * 3)
QUERY = np.array([[0.6, 0.0], [0.0, 0.8]])
LABELS = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])  # explained by tasks 0, 1 and 2
PROMPT = Prompt(inputs=INPUTS, labels=LABELS, query=QUERY)
LABEL_TOKENS = [3, 6, 9]


def with_gains(gains: Gains) -> Transformer:
    """Theorem 1's transformer with gains that the Spec did not derive."""
    residual = residual_stream(SPEC)
    layers = (part.layer(SPEC, gains, residual, TASKS, None) for part in SEVEN)
    return Transformer(SPEC, residual, layers, gains, tuple(task.slot for task in TASKS), READOUT)


def test_the_hypotheses_hold_to_begin_with():
    answer = build(SPEC, TASKS)(PROMPT)
    assert answer.recognized.tolist() == [0, 1, 2]
    np.testing.assert_allclose(answer.vector, [0.0, 0.8 / 3], atol=1e-6)


def test_lemma_0_needs_exact_ties():
    weights = jax.nn.softmax(jnp.array([1.0, 0.0, -200.0]))
    assert weights[0] / weights[1] == pytest.approx(np.e)
    assert weights[2] == 0


def test_lemma_1_needs_blank_sum_slots():
    tasks = [Task(slot=2, weight=np.eye(2))]
    spec = Spec.of(tasks, m=1, n=4, margin=0.5, radius=2.0, input_radius=2.0, sum_slot=True)
    inputs = np.array([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]])
    prompt = Prompt(inputs=inputs, labels=np.ones((1, 2)), query=inputs[0])
    model = build(spec, tasks)
    filled = {("embed", "x"): lambda x: x.at[3].set(jnp.array([0.25, 0.0]))}
    assert model.trace(prompt, attention=False).read("lift", "x")[3].tolist() == [1.0, 1.0]
    assert model.trace(prompt, hooks=filled, attention=False).read("lift", "x")[3].tolist() == [
        1.25,
        1.0,
    ]
    with pytest.raises(ValueError, match="sum slot must be blank"):
        model(Prompt(inputs=np.full_like(inputs, 0.25), labels=np.ones((1, 2)), query=inputs[0]))


def test_lemma_2_needs_distinct_examples():
    same = {
        ("embed", "e"): lambda e: e.at[4:7].set(e[1])
    }  # the second example carries the first one's code
    y = build(SPEC, TASKS).trace(PROMPT, hooks=same, attention=False).read("pair", "y")
    np.testing.assert_allclose(y[1], (LABELS[0] + LABELS[1]) / 2, atol=1e-6)


def test_lemma_3_needs_a_margin():
    gains = derive(SPEC)
    between = np.sqrt(gains.T0 / gains.beta)
    assert SPEC.tolerance < between < SPEC.margin
    # Scaled down, the label is this far from task 0 alone: BOS and the token itself tie.
    prompt = Prompt(inputs=INPUTS[:1], labels=(1 - between) * LABELS[:1], query=QUERY)
    model = build(SPEC, TASKS)
    count = model.trace(prompt, attention=False, enforce=False).read("commit", "count")[3, 0]
    assert 0.4 < count < 0.6
    with pytest.raises(ValueError, match=r"task 0 = a residual of 0\.3.*must be at most tolerance"):
        model(prompt)


def test_lemma_3_needs_the_radius():
    # Two noise labels, 20 radii away in opposite directions: each input is recognized through the
    # other's residual.
    far = 20 * SPEC.radius
    opposite = {
        ("pair", "y"): lambda y: (
            y.at[1].set(jnp.array([0.0, far])).at[4].set(jnp.array([0.0, -far]))
        )
    }
    model = build(SPEC, TASKS)
    count = model.trace(PROMPT, hooks=opposite, attention=False).read("recognize", "count")
    assert (
        count[[1, 4], 0] == 3
    ).all()  # every task, even the one that reads another slot; none explains either label
    with pytest.raises(ValueError, match="radius"):
        model(Prompt(inputs=INPUTS, labels=np.array([[0, far], [0, -far], [0, 1.0]]), query=QUERY))


def test_lemma_4_needs_a_small_leak():
    warm = with_gains(replace(derive(SPEC), T=1.0))
    ok = warm.trace(PROMPT, attention=False, enforce=False).read("commit", "ok")[LABEL_TOKENS, 0]
    assert (np.abs(ok - 1) > 0.1).any()
    with pytest.raises(Infeasible, match="coldness = 1"):
        build(replace(SPEC, coldness=1.0), TASKS)


def test_lemma_5_needs_a_gap_between_codes():
    gains = derive(SPEC)
    # A gate too weak for the gap: the heads of the other codes open too, and their fetched features
    # add up.
    leaky = with_gains(replace(gains, G=gains.G / 4))
    f = leaky.trace(PROMPT, attention=False, enforce=False).read("fetch", "f")[LABEL_TOKENS]
    np.testing.assert_allclose(f[0], 2 * QUERY[0] + QUERY[1], atol=1e-5)
    many = Spec(K=4000, d=2, m=3, n=3, margin=0.5, radius=1.0, weight_norm=1.0)
    with pytest.raises(Infeasible, match=r"gap .* between neighboring codes"):
        derive(many)


def test_lemma_6_needs_short_outputs_on_the_query():
    tasks = [*TASKS[:2], Task(slot=1, weight=np.eye(2), bias=np.array([0.0, 0.5]))]
    spec = Spec.of(tasks, m=3, n=3, margin=0.5, radius=1.5, input_radius=2.0)
    labels = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.5]])
    with pytest.raises(
        ValueError, match=r"query.*task 2 has an output of norm 2.*must be at most radius"
    ):
        build(spec, tasks)(
            Prompt(inputs=INPUTS, labels=labels, query=np.array([[0.0, 1.0], [0.0, 1.5]]))
        )


def test_lemma_7_needs_equal_ok():
    lower = {("commit", "ok"): lambda ok: ok.at[LABEL_TOKENS[0]].add(-1e-3)}
    model = build(SPEC, TASKS)
    answer = model.trace(PROMPT, hooks=lower, attention=False).answer.vector
    # Task 0's example weighs e^(-3T/1000) of the others', a loss of a quarter.
    weight = np.exp(-3e-3 * derive(SPEC).T)
    expected = (weight * QUERY[0] - QUERY[0] + QUERY[1]) / (2 + weight)
    np.testing.assert_allclose(answer, expected, atol=1e-4)
    assert np.abs(answer - model(PROMPT).vector).max() > 0.01
