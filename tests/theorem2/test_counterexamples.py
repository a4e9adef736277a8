"""What fails when a hypothesis of Theorem 2 is dropped: a counterexample for each lemma, around the
edge that refuses it."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from construct import Prompt, Task
from construct.gains import Infeasible
from construct.theorem2 import build
from construct.theorem2.gains import derive
from tests.theorem1.test_counterexamples import INPUTS, LABELS, PROMPT, QUERY, SPEC, TASKS

MODEL = build(SPEC, TASKS)
READ = [1, 4, 8]  # the inputs of examples 0, 1, 2 in their tasks' slots 0, 0, 1


def test_the_hypotheses_hold_to_begin_with():
    answer = MODEL(PROMPT)
    assert answer.recognized.tolist() == [0, 1, 2]
    np.testing.assert_allclose(answer.vector, [0.0, 0.8 / 3], atol=1e-6)


def test_lemma_1_needs_distinct_examples():
    same = {
        ("embed", "e"): lambda e: e.at[4:7].set(e[1])
    }  # the second example carries the first one's code
    trace = MODEL.trace(PROMPT, hooks=same, attention=False)
    # Two labels and one query token tie: each weighs a third, and is doubled.
    np.testing.assert_allclose(
        trace.read("pair", "y")[1], 2 * (LABELS[0] + LABELS[1]) / 3, atol=1e-6
    )
    np.testing.assert_allclose(trace.read("pair", "q")[1], 2 * QUERY[0] / 3, atol=1e-6)


def test_lemma_1_needs_labels_without_content():
    mixed = {("embed", "x"): lambda x: x.at[3].set(jnp.array([0.25, 0.0]))}
    q = MODEL.trace(PROMPT, hooks=mixed, attention=False).read("pair", "q")
    np.testing.assert_allclose(q[1], QUERY[0] + [0.25, 0.0], atol=1e-6)


def test_lemma_2_needs_a_margin():
    gains = derive(SPEC)
    between = np.sqrt(gains.T0 / gains.beta)
    assert SPEC.tolerance < between < SPEC.margin
    prompt = Prompt(inputs=INPUTS[:1], labels=(1 - between) * LABELS[:1], query=QUERY)
    ok = MODEL.trace(prompt, attention=False, enforce=False).read("recognize", "ok")[1, 0]
    assert 0.4 < ok < 0.6
    with pytest.raises(ValueError, match=r"task 0 = a residual of 0\.3.*must be at most tolerance"):
        MODEL(prompt)


def test_lemma_2_needs_the_radius():
    # Two noise labels, 20 radii away in opposite directions: each input is recognized through the
    # other's residual.
    far = 20 * SPEC.radius
    opposite = {
        ("pair", "y"): lambda y: (
            y.at[1].set(jnp.array([0.0, far])).at[4].set(jnp.array([0.0, -far]))
        )
    }
    ok = MODEL.trace(PROMPT, hooks=opposite, attention=False).read("recognize", "ok")
    assert (ok[[1, 4], 0] == 3).all()
    with pytest.raises(ValueError, match="radius"):
        MODEL(Prompt(inputs=INPUTS, labels=np.array([[0, far], [0, -far], [0, 1.0]]), query=QUERY))


def test_lemma_2_needs_one_explanation():
    tasks = [*TASKS[:2], Task(slot=0, weight=np.diag([1.0, -1.0]))]  # tasks 0 and 2 agree on (1, 0)
    model = build(SPEC, tasks)
    prompt = Prompt(inputs=INPUTS, labels=np.array([[1.0, 0], [-1.0, 0], [-1.0, 0]]), query=QUERY)
    trace = model.trace(prompt, attention=False, enforce=False)
    # The ambiguous example has ok = 2 and captures the answer; the two that count are not heard.
    assert trace.read("recognize", "ok")[[1, 4, 7], 0].tolist() == [2, 1, 1]
    np.testing.assert_array_equal(trace.answer.vector, trace.read("recognize", "y")[1])
    assert np.abs(trace.answer.vector - -QUERY[0]).max() > 0.5
    with pytest.raises(ValueError, match=r"example 0 = explained by tasks 0, 2"):
        model(prompt)


def test_lemma_3_needs_ok_nearly_equal():
    lower = {("recognize", "ok"): lambda ok: ok.at[READ[0]].add(-1e-3)}
    answer = MODEL.trace(PROMPT, hooks=lower, attention=False).answer.vector
    weight = np.exp(-1e-3 * derive(SPEC).C)
    np.testing.assert_allclose(
        answer, (weight * QUERY[0] - QUERY[0] + QUERY[1]) / (2 + weight), atol=1e-4
    )
    assert np.abs(answer - MODEL(PROMPT).vector).max() > 0.01
    # A leak of ok that moves the winners that far apart is not admissible.
    with pytest.raises(Infeasible, match=r"ok leaks .* must stay below T/2"):
        derive(replace(SPEC, coldness=3.0, margin=2.0, tolerance=0.0))
