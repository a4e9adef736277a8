"""What fails when a hypothesis of Theorem 3 is dropped: a counterexample for each lemma, around the
edge that refuses it."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from construct import Prompt
from construct.gains import Infeasible
from construct.theorem3 import build
from construct.theorem3.gains import derive
from proofs import theorem3 as proof
from tests.theorem1.test_counterexamples import INPUTS, LABELS, PROMPT, QUERY, SPEC, TASKS

WIDE = replace(SPEC, radius=2.0)
MODEL = build(WIDE, TASKS)
BOUND = proof.error_bound(WIDE)
LABEL_TOKENS = [3, 6, 9]
OUTPUTS = np.stack([QUERY[0], -QUERY[0], QUERY[1]])


def test_the_hypotheses_hold_to_begin_with():
    answer = MODEL(PROMPT)
    assert answer.recognized.tolist() == [0, 1, 2]
    np.testing.assert_allclose(answer.vector, OUTPUTS.mean(0), atol=BOUND)


def test_lemma_1_needs_labels_of_norm_1():
    # 1.8 long and at 45 degrees: 1.3 away from task 0's output, yet its inner product with it is
    # more than 1.
    label = 1.8 * np.array([[np.sqrt(0.5), np.sqrt(0.5)]])
    assert np.linalg.norm(label - LABELS[0]) > WIDE.margin and label @ LABELS[0] > 1
    prompt = Prompt(inputs=INPUTS[:1], labels=label, query=QUERY)
    w = MODEL.trace(prompt, attention=False, enforce=False).read("recognize", "w")
    assert w[3].tolist() == [1, 0, 1]
    with pytest.raises(ValueError, match=r"prompt\.labels\[0\] = a label of norm 1\.8"):
        MODEL(prompt)


def test_lemma_1_needs_outputs_of_norm_1():
    # Task 1's output shows the label's direction at twice its length: the label is 1 away, the
    # inner product 2.
    tasks = [TASKS[0], replace(TASKS[1], weight=2 * np.eye(2)), TASKS[2]]
    model = build(replace(WIDE, weight_norm=2.0 * WIDE.weight_norm), tasks)
    prompt = Prompt(inputs=INPUTS[:1], labels=LABELS[:1], query=QUERY)
    assert model.trace(prompt, attention=False, enforce=False).read("recognize", "w")[
        3
    ].tolist() == [1, 1, 0]
    with pytest.raises(ValueError, match=r"example 0, task 1 = an output of norm 2"):
        model(prompt)


def test_lemma_1_needs_a_margin():
    gains = derive(WIDE)
    between = np.sqrt(gains.T0 / gains.beta)
    assert WIDE.tolerance < between < WIDE.margin
    angle = 2 * np.arcsin(between / 2)
    prompt = Prompt(
        inputs=INPUTS[:1], labels=np.array([[np.cos(angle), np.sin(angle)]]), query=QUERY
    )
    count = MODEL.trace(prompt, attention=False, enforce=False).read("recognize", "count")[3, 0]
    assert 0.4 < count < 0.6
    with pytest.raises(ValueError, match=r"task 0 = a residual of 0\.3.*must be at most tolerance"):
        MODEL(prompt)


def test_lemma_1_needs_the_radius_in_every_slot():
    # Task 1 reads slot 0; the input in slot 1 is long enough to outweigh its position, and task 1
    # is recognized by it.
    gains = derive(WIDE)
    far = -(gains.P2 / gains.beta + WIDE.radius**2)
    long = {("embed", "x"): lambda x: x.at[2].set(jnp.array([far, 0.0]))}
    w = MODEL.trace(PROMPT, hooks=long, attention=False).read("recognize", "w")
    assert w[3].tolist() == [1, 1, 0]
    inputs = INPUTS.copy()
    inputs[0, 1] = [far, 0.0]
    with pytest.raises(ValueError, match="norm"):
        MODEL(Prompt(inputs=inputs, labels=LABELS, query=QUERY))


def test_lemma_1_needs_a_small_leak():
    with pytest.raises(Infeasible, match="count of explaining tasks leaks"):
        derive(replace(WIDE, coldness=2.0))


def test_lemma_2_needs_equal_ok():
    lower = {("recognize", "ok"): lambda ok: ok.at[LABEL_TOKENS[0]].add(-1e-3)}
    vector = MODEL.trace(PROMPT, hooks=lower, attention=False).task_vector
    weight = np.exp(-3e-3 * derive(WIDE).T)
    np.testing.assert_allclose(vector, np.array([weight, 1, 1]) / (2 + weight), atol=1e-4)
    assert np.abs(vector - 1 / 3).max() > 0.02


def test_lemma_3_needs_distinct_slots():
    # The query's second input carries the first one's code: tasks 0 and 1 have three winners, and
    # task 2 has only BOS.
    same = {("embed", "s"): lambda s: s.at[-2].set(s[-3])}
    trace = MODEL.trace(PROMPT, hooks=same, attention=False)
    honest = MODEL.trace(PROMPT, attention=False)
    balance, expected = (one.read("balance", "y")[-1] for one in (trace, honest))
    c = derive(WIDE).series.c[0]
    np.testing.assert_allclose(expected, c / 2 * OUTPUTS.sum(0), rtol=1e-4, atol=1e-4)
    # Tasks 0 and 1 cancel; task 2's output is missing.
    np.testing.assert_allclose(balance, 0, atol=1e-4)
    assert np.abs(balance - expected).max() > 1


def test_lemma_5_needs_weights_of_sum_at_most_1():
    def patched(w):
        return MODEL(PROMPT, hooks={("tally", "w"): lambda _: _.at[-1].set(jnp.array(w))}).vector

    inside, outside = np.array([0.2, 0.0, 0.7]), np.array([0.0, 0.0, 40.0])
    assert np.abs(patched(inside) - inside @ OUTPUTS).max() <= BOUND
    # Far outside [0, 1] the gates saturate: no multiple of an output is any longer.
    assert np.abs(patched(outside) - outside @ OUTPUTS).max() > 1
