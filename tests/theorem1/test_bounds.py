"""The error bound against random Specs: honest and tight at every coldness, and flat in m and n."""

from dataclasses import replace

import numpy as np
import pytest

from construct import Prompt
from proofs import theorem1 as proof
from tests.errors import errors
from verify.draw import draw_instance, draw_prompt
from verify.theorem1 import THEOREM1

SHAPES = {
    "one task": {"K": 1, "d": 1, "m": 1, "n": 2},
    "long examples": {"K": 8, "d": 16, "m": 24, "n": 9},
    "many tasks": {"K": 16, "d": 8, "m": 40, "n": 3},
    "features": {"K": 4, "d": 8, "m": 16, "n": 3, "features": 6},
    "sums": {"K": 4, "d": 8, "m": 16, "n": 5, "features": 6, "sum_slot": True},
}


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_bound_is_honest_and_within_100_of_the_worst_of_50(shape):
    # Seeds differ, so that tasks and margins do; the shapes compile once for all three
    # temperatures.
    for seed, T in enumerate((8.0, 18.0, 28.0)):
        rng = np.random.default_rng(seed)
        instance = draw_instance(rng, **SHAPES[shape], dtype="float64", coldness=T)
        worst = max(errors(THEOREM1, instance, [draw_prompt(rng, instance) for _ in range(50)]))
        assert worst <= proof.error_bound(instance.spec) <= 100 * worst


def test_leak_is_flat_in_m_and_n():
    rng = np.random.default_rng(0)
    instance = draw_instance(rng, K=4, d=8, m=512, n=3, dtype="float64", coldness=16.0)
    base = draw_prompt(rng, instance, examples=32)
    tiled = [
        Prompt(
            inputs=np.tile(base.inputs, (k, 1, 1)),
            labels=np.tile(base.labels, (k, 1)),
            query=base.query,
        )
        for k in (1, 2, 4, 16)
    ]
    observed = errors(THEOREM1, instance, tiled)
    assert max(observed) <= 1.1 * min(observed)
    in_m = [proof.leak(replace(instance.spec, m=m)) for m in (16, 64, 256, 1024, 4096)]
    in_n = [proof.leak(replace(instance.spec, n=n)) for n in (2, 4, 8, 16, 32)]
    for leaks in (in_m, in_n):
        assert max(leaks) <= 1.1 * min(leaks)
