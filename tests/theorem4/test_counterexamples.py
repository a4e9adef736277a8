"""What fails when a hypothesis of Theorem 4 is dropped: a counterexample for each, around the edge
that refuses it."""

import jax.numpy as jnp
import numpy as np
import pytest

from construct.gains import Infeasible
from construct.theorem4 import derive, spec_of
from tests.theorem4.test_generation import BOUND, MODEL, PROMPT, TASKS, D, M

ARROW = -1
FIRST = PROMPT.after((0,))


def held(subspace, hooks, prompt=PROMPT, layer="posterior"):
    """A subspace of the last token after a layer, with hooks."""
    return MODEL.trace(prompt, hooks=hooks, attention=False).read(layer, subspace)[-1]


def saying(*weights):
    """Puts a soft word in the place of the last one."""
    word = jnp.zeros(D).at[jnp.arange(len(weights))].set(jnp.array(weights))
    return {("embed", "x"): lambda x: x.at[-1].set(word)}


def test_the_hypotheses_hold_to_begin_with():
    np.testing.assert_allclose(held("omega", None), (0.5, 0.3, 0.2), atol=BOUND)
    np.testing.assert_allclose(held("omega", None, FIRST), (5 / 8, 3 / 8, 0), atol=BOUND)


def test_lemma_1_needs_soft_weights_of_1_over_m():
    # Half of what counts as said: the tasks that say it are half consistent.
    faint = 1 / (2 * derive(MODEL.spec).slope)
    w = held("w", saying(faint), FIRST, "recognize")
    np.testing.assert_allclose(w, (0.5, 0.5, 0), atol=1e-3)
    with pytest.raises(ValueError, match="must be 0 or at least 1/m"):
        MODEL.next(PROMPT, [np.eye(D)[0] * faint])


def test_lemma_1_needs_soft_weights_of_sum_1_at_most():
    # Twice the word: its surplus opens the units of words that the line does not have.
    tasks_of_3 = [task.words[0, 0] for task in TASKS]
    assert tasks_of_3[2] == 5
    w = held("w", {("embed", "x"): lambda x: x.at[-1].set(2 * jnp.eye(D)[5])}, FIRST, "recognize")
    np.testing.assert_allclose(w, (0, 0, D), atol=1e-3)  # all D words of the line open, and not one
    with pytest.raises(ValueError, match="sum to at most 1"):
        PROMPT.after([2 * np.eye(D)[5]])


def test_lemma_1_needs_inputs_that_are_one_word():
    # No input at all in the query's slot, and no task says anything about it.
    place = len(MODEL.trace(PROMPT, attention=False).tokens) - 2
    blank = {("embed", "x"): lambda x: x.at[place].set(0)}
    assert not held("y", blank).any()
    # Two inputs at once, half and half: a task whose posterior is 1/2 or less says nothing.
    both = {("embed", "x"): lambda x: x.at[place].set(jnp.eye(D)[:2].sum(0) / 2)}
    assert not held("y", both).any() and held("y", None).sum() > 0.99


def test_lemma_2_needs_lines_of_their_own():
    # The first example's tokens carry the query's index: its words count as said.
    own = slice(1, 1 + MODEL.spec.n)
    same = {("embed", "e"): lambda e: e.at[own].set(e[-1])}
    odd = {("embed", "e"): lambda e: e}
    c, right = held("c", same, layer="consistency"), held("c", odd, layer="consistency")
    assert (right == 1).all() and c.tolist() == [1, 0, 0]


def test_lemma_2_needs_a_small_leak():
    with pytest.raises(Infeasible):
        derive(spec_of(TASKS, m=M, coldness=4.0, dtype="float64"))


def test_lemma_2_needs_w_within_the_dead_zone():
    scale = derive(MODEL.spec).scale
    hooks = {("recognize", "w"): lambda w: w.at[-1, 2].set(1 - 1 / scale)}
    assert 0.2 < held("c", hooks, FIRST, "consistency")[2] < 0.8
    inside = {("recognize", "w"): lambda w: w.at[-1, 0].set(1 - 1 / (3 * scale))}
    assert held("c", inside, FIRST, "consistency")[0] == 1


def test_lemma_3_needs_whole_numbers():
    last = MODEL.spec.n  # of the first example
    half = {("consistency", "c"): lambda c: c.at[last, 0].set(0.5)}
    trace = MODEL.trace(PROMPT, hooks=half, attention=False)
    assert trace.read("commit", "ok")[last, 0] == 0.5


def test_lemma_4_needs_equal_ok():
    lower = {("commit", "ok"): lambda ok: ok.at[MODEL.spec.n].add(-1e-3)}
    gains = derive(MODEL.spec)
    weight = np.exp(-1e-3 * gains.committed)
    due = np.array([4 + weight, 3, 2]) / (9 + weight)
    np.testing.assert_allclose(held("omega", lower), due, atol=1e-4)
    assert np.abs(held("omega", lower) - (0.5, 0.3, 0.2)).max() > 0.02


def test_lemma_4_needs_the_mask():
    # An example that stands after the place that predicts says nothing there: reversed, the loss
    # along the context is another one.
    y = MODEL.trace(PROMPT, attention=False).read("posterior", "y")
    first_arrow = 2
    assert not y[first_arrow].any() and y[first_arrow + MODEL.spec.n].any()


def test_superposed_decoding_needs_a_word_of_every_task():
    # A soft word without task 2's word: its weight goes to the others, and omega is no more m_i/M.
    first = MODEL.next(PROMPT).vector.copy()
    first[5] = 0
    posterior = MODEL.next(PROMPT, [first]).posterior
    np.testing.assert_allclose(posterior, (5 / 8, 3 / 8, 0), atol=BOUND)
