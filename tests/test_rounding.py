"""The rounding bounds: no addition is left out, a prompt's own numbers suffice, and the bound says
something of a typical prompt."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from construct import floats
from proofs import theorem1 as proof
from proofs.sizes import sizes
from tests.errors import errors
from tests.theorem1.cases import RANDOM, SUMS
from verify.draw import draw_instance, draw_prompt
from verify.theorem import ALL


def additions(summands: np.ndarray) -> tuple[float, int]:
    """A sum from left to right, as the count of its summands that are not 0 and the additions that
    round."""
    return summands.sum(), max(int((summands > 0).sum()) - 1, 0)


@given(
    st.integers(1, 60),
    st.integers(2, 9),
    st.integers(0, 2**32),
    st.integers(0, 3),
    st.booleans(),
)
def test_no_addition_of_the_mean_is_left_out(examples, n, seed, longer, sparse):
    rng = np.random.default_rng(seed)
    m = examples * 4**longer
    tokens = 1 + (examples + 1) * n
    padded = 1 + (int(rng.integers(examples, m + 1)) + 1) * n  # as far as its batch is
    winner = np.zeros(padded)
    for j in range(examples):
        if not sparse or rng.random() < 0.5:
            winner[1 + j * n + rng.integers(n)] = 1  # a label, or an input in a task's slot
    block = math.isqrt(padded - 1) + 1
    rows = np.pad(winner, (0, -padded % block)).reshape(-1, block)
    inside, between = (
        max(additions(row)[1] for row in rows),
        additions(np.array([additions(row)[0] for row in rows]))[1],
    )
    spec = replace(RANDOM.spec, n=n, m=m)
    setting = proof.setting(spec, tokens)
    assert setting.gains.hard
    counted = setting.mean_of_winners() / floats.unit_roundoff("float32")
    assert inside + between + 1 <= counted


@pytest.mark.parametrize("case", [RANDOM, SUMS], ids=["random", "sums"])
def test_sizes_are_the_prompts_own(case):
    prompt, spec = case.prompts[-1], case.spec
    found = sizes(spec, prompt, 10.0, case.tasks, case.instance.feature_map)
    query = np.array(prompt.query)
    if spec.sum_slot:
        query[-1] = query[:-1].sum(0)
    outputs, products = [], []
    for task in case.tasks:
        x = query[task.slot]
        if case.instance.feature_map is not None:
            x = np.maximum(case.instance.feature_map.weight @ x + case.instance.feature_map.bias, 0)
        outputs.append(np.abs(task.weight @ x + task.bias).max())
        products.append(
            max(sum(abs(w * v) for w, v in zip(row, x, strict=True)) for row in task.weight)
        )
    close = {"rel": 1e-12}
    assert found.output == pytest.approx(max(outputs), **close)
    assert found.products == pytest.approx(max(products), **close)
    assert found.bias == pytest.approx(max(np.abs(task.bias).max() for task in case.tasks), **close)
    assert found.label == np.abs(prompt.labels).max()
    known = sizes(spec, None, 10.0, None, None)
    assert (known.label, known.bias) == (spec.radius, spec.bias_norm)


def test_tasks_without_a_prompt_are_refused():
    with pytest.raises(ValueError, match="must be a Prompt where tasks are passed"):
        proof.error_bound(RANDOM.spec, tasks=RANDOM.tasks)


@pytest.mark.slow
@pytest.mark.parametrize("theorem", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_bound_of_a_typical_prompt_is_within_100_of_its_error(theorem, dtype):
    rng = np.random.default_rng(0)
    record = ALL[theorem]
    shape = {"K": 4, "d": 16, "m": 32, "n": 3}
    instance = draw_instance(rng, **shape, dtype=dtype, **record.drawn)
    prompts = [draw_prompt(rng, instance) for _ in range(20)]
    observed = errors(record, instance, prompts)
    bounds = [record.proof.error_bound(instance.spec, p, tasks=instance.tasks) for p in prompts]
    assert all(error <= bound for error, bound in zip(observed, bounds, strict=True))
    if dtype == "float32":  # the oracle's own float64 cannot resolve float64's errors
        assert np.median(bounds) <= 100 * np.median(observed)
