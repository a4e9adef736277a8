"""Theorem 2's error bound: honest at every coldness, met up to a constant where winners are uneven,
and flat in m and n."""

from dataclasses import replace

import numpy as np
import pytest

from construct import Prompt, Spec, Task
from proofs import theorem2 as proof
from tests.errors import errors
from tests.mutants import theorem2 as edge
from verify.draw import Instance, draw_instance, draw_prompt
from verify.theorem2 import THEOREM2

COLD = (8.0, 18.0, 28.0)


def test_bound_is_honest():
    for seed, T in enumerate(COLD):
        rng = np.random.default_rng(seed)
        instance = draw_instance(rng, K=8, d=16, m=24, n=9, dtype="float64", coldness=T)
        assert max(
            errors(THEOREM2, instance, [draw_prompt(rng, instance) for _ in range(50)])
        ) <= proof.error_bound(instance.spec)


@pytest.mark.parametrize("T", COLD)
def test_bound_is_honest_at_the_edge_of_every_hypothesis(T):
    instance = edge.instance("float64", T)
    assert max(errors(THEOREM2, instance, edge.prompts("float64", T))) <= proof.error_bound(
        instance.spec
    )


def uneven(T: float) -> tuple[Instance, Prompt]:
    """Two opposite tasks, one shown exactly and one at the edge of the tolerance: ok = 1 and ok = 1
    - e^-T."""
    tasks = [Task(slot=0, weight=np.eye(1)), Task(slot=0, weight=-np.eye(1))]
    spec = Spec.of(
        tasks,
        m=8,
        n=2,
        margin=1.0,
        tolerance=0.5,
        radius=1.5,
        input_radius=1.0,
        dtype="float64",
        coldness=T,
    )
    labels = np.repeat([[1.0], [-0.5]], 4, axis=0)
    return Instance(spec, tasks, None, np.zeros(1)), Prompt(
        inputs=np.ones((8, 1, 1)), labels=labels, query=np.ones((1, 1))
    )


@pytest.mark.parametrize("T", COLD)
def test_the_factor_T_is_real(T):
    instance, prompt = uneven(T)
    error = max(errors(THEOREM2, instance, [prompt]))
    # Weights 1 and e^(-C e^-T), C about 3T, in place of 1 and 1, on outputs 1 and -1.
    assert error == pytest.approx(1.5 * T * np.exp(-T), rel=0.1)
    assert error <= proof.error_bound(instance.spec) <= 100 * error


def test_leak_is_flat_in_m_and_n():
    rng = np.random.default_rng(0)
    spec = draw_instance(rng, K=4, d=8, m=512, n=3, dtype="float64", coldness=16.0).spec
    for leaks in (
        [proof.leak(replace(spec, m=m)) for m in (16, 64, 256, 1024, 4096)],
        [proof.leak(replace(spec, n=n)) for n in (2, 4, 8, 16, 32)],
    ):
        assert max(leaks) <= 1.1 * min(leaks)
