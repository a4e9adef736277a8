"""Few programs: prompts of any length are padded to few lengths, so that a session compiles a
handful of programs and no more."""

import jax
import numpy as np
import pytest

from construct import build
from tests.evaluate.cases import reference_answer
from verify.draw import draw_instance, draw_prompt

COMPILED = "/jax/core/compile/backend_compile_duration"
# Two tokens an example, hence the most examples; nobody else's shape, so that nothing is compiled
# before.
SHAPE = {"K": 5, "d": 7, "m": 254, "n": 2}
LONGEST = 512  # tokens
PROGRAMS = 8

_compiled = [0]


def _count(event, duration, **_):
    _compiled[0] += event == COMPILED


jax.monitoring.register_event_duration_secs_listener(_count)


def compiled(call):
    """How many programs a call compiles."""
    before = _compiled[0]
    call()
    return _compiled[0] - before


@pytest.mark.slow
def test_a_hundred_random_prompts_compile_few_programs():
    rng = np.random.default_rng(0)
    instance = draw_instance(rng, **SHAPE)
    model = build(instance.spec, instance.tasks, instance.feature_map)
    lengths = np.exp(rng.uniform(0, np.log(SHAPE["m"] + 1), size=100))  # short ones as well
    prompts = [draw_prompt(rng, instance, examples=int(length)) for length in lengths]
    assert max(prompt.tokens for prompt in prompts) <= LONGEST

    evaluators = set()

    def ask():
        evaluators.update(model(prompt).evaluator for prompt in prompts)

    assert 0 < compiled(ask) <= PROGRAMS
    assert evaluators == {"dense", "restricted"}
    assert compiled(ask) == 0
    # The count sees a program that is not there yet.
    assert compiled(lambda: reference_answer(model, prompts[0])) > 0
