"""The reference evaluator: the dense one's readings, in time linear in the examples."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from construct import Prompt
from construct.evaluate import reference
from construct.evaluate.dense import read_prompts
from proofs import theorem1 as proof1
from proofs import theorem2 as proof2
from proofs import theorem3 as proof3
from tests.evaluate.cases import drawn, model_of, reference_answer
from tests.strategies import SHAPES, cases
from verify.check import answer_error

PROOFS = {1: proof1, 2: proof2, 3: proof3}
# A sum slot; ReLU features in float64. Compilations are what costs.
MENU = [SHAPES[i] for i in (9, 10)]


@settings(max_examples=10)
@given(cases(st.sampled_from(MENU), count=1))
def test_agrees_with_dense_and_with_the_definition(case):
    for prompt in case.prompts:
        dense, answer = case.model(prompt, evaluator="dense"), reference_answer(case.model, prompt)
        assert (answer.recognized == dense.recognized).all()
        error = answer_error(answer.vector, dense.vector.astype(float))
        assert error <= 2 * proof1.rounding(case.spec)
        verdict = case.verdict(prompt)
        error = answer_error(answer.vector, verdict.prevalence @ verdict.outputs)
        assert error <= proof1.error_bound(case.spec)


@pytest.mark.parametrize("theorem", [1, 2, 3])
@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1), examples=st.integers(2, 4))
def test_every_reading_is_the_dense_one(theorem, seed, examples):
    """Ragged prompts, padded to four examples: the readings of padding are nobody's."""
    instance, whole = drawn(theorem, seed, K=3, d=6, m=6, n=4)
    model, spec = model_of(theorem, instance), instance.spec
    prompt = Prompt(whole.inputs[:examples], whole.labels[:examples], whole.query)
    expected = jax.tree.map(lambda part: part[0], read_prompts(model, [prompt]))
    found = reference.read_prompt(model, prompt)
    error = answer_error(found.vector, expected.vector.astype(float))
    assert error <= 2 * PROOFS[theorem].rounding(spec)
    scores = 2 * max(error for _, error in model.gains.score_error)
    assert np.abs(found.gap - expected.gap)[:, :examples].max() <= scores
    real = [*range(examples), -1]
    allowed = 2 * model.readout.norm_slack(spec, model.gains)
    assert np.abs(found.output_norm - expected.output_norm)[:, real].max() <= allowed
    if model.readout.codes is not None:
        assert np.array_equal(found.ok[:examples], expected.ok[:examples])
        # A code is one of a few vectors that lie much further apart than this.
        assert np.abs(found.code - expected.code)[:examples].max() <= 1e-3


def test_what_one_example_alone_cannot_see_is_lost(monkeypatch):
    """Without the layer that gathers, or with one example of many, the answer is another one."""
    instance, prompt = drawn(3, 1, K=3, d=4, m=6, n=3)
    model = model_of(3, instance)
    bound = 100 * proof3.rounding(instance.spec)
    answer = model(prompt, evaluator="dense").vector.astype(float)
    one = Prompt(prompt.inputs[:1], prompt.labels[:1], prompt.query)
    assert answer_error(reference.read_prompt(model, one).vector, answer) > bound
    monkeypatch.setattr(reference, "_gather", lambda layer, stream, real, place: stream[place])
    reference._read.clear_cache()
    try:
        assert answer_error(reference.read_prompt(model, prompt).vector, answer) > bound
    finally:
        reference._read.clear_cache()
