"""Every place of a prompt predicts its next word from the examples before it, as well as can be."""

import numpy as np
from hypothesis import given, settings

from proofs.theorem4 import error_bound
from tests.theorem4.cases import CASES
from tests.theorem4.test_generation import MODEL, PROMPT, TASKS
from verify.theorem4.context import context_errors, losses, optimal


@settings(max_examples=15)
@given(CASES)
def test_every_place_is_within_the_bound_of_the_definition(case):
    errors = context_errors(case.model, case.tasks, case.prompts[-1])
    assert (errors <= error_bound(case.spec)).all()


def test_the_loss_along_the_context_is_the_least_there_is():
    found = losses(MODEL, TASKS, PROMPT)
    # The first example has nothing before it; the first of a task's is a surprise; then the loss of
    # a whole line is -log of the share of its answer among the lines before.
    assert np.isinf(found.optimal[0]).all() and np.isinf(found.optimal[5, 1])
    np.testing.assert_allclose(found.optimal[1].sum(), 0, atol=1e-12)
    np.testing.assert_allclose(found.optimal[7].sum(), -np.log(2 / 7), atol=1e-12)
    seen = np.isfinite(found.optimal)
    assert (np.isfinite(found.model) == seen).all()
    np.testing.assert_allclose(found.model[seen], found.optimal[seen], atol=1e-5)


def test_a_place_sees_no_word_after_it():
    words = optimal(MODEL, TASKS, PROMPT)
    last = PROMPT.answers.copy()
    last[-1] = (4, 4, 4)
    other = type(PROMPT)(PROMPT.inputs, last, PROMPT.query)
    assert (optimal(MODEL, TASKS, other)[:, 0] == words[:, 0]).all()
    assert context_errors(MODEL, TASKS, other).max() <= error_bound(MODEL.spec)
