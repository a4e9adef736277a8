"""Theorem 2 at the edge of every hypothesis: one small instance with ReLU features, so that both of
Pair's copies are read.

Tasks 0, 1, 2 read slot 0, tasks 3 and 4 slot 1, task 5 slot 2. All map x0 to 0. No example has two
explanations.
"""

from functools import cache

import numpy as np

from construct import Prompt, Spec
from tests.mutants.draws import (
    EDGE,
    D,
    M,
    N,
    feature_tasks,
    inputs_of,
    labeled,
    longest_output,
    prompt_of,
)
from verify.draw import Instance

SLOTS = (0, 0, 0, 1, 1, 2)


@cache
def instance(dtype: str = "float32", coldness: float | None = None) -> Instance:
    """The instance: six tasks with ReLU features."""
    feature_map, agree, _, tasks = feature_tasks(np.random.default_rng(7), SLOTS)
    spec = Spec.of(
        tasks,
        m=M,
        n=N,
        margin=0.25,
        radius=longest_output(feature_map, tasks),
        feature_map=feature_map,
        input_radius=2.0,
        dtype=dtype,
        coldness=coldness,
    )
    return Instance(spec, tasks, feature_map, agree)


@cache
def prompts(dtype: str = "float32", coldness: float | None = None) -> tuple[Prompt, ...]:
    """Prompts of m examples each: labels at the edge of rho and delta on both sides, no evidence, a
    query that all map to 0."""
    one = instance(dtype, coldness)
    rng = np.random.default_rng(11)
    K = one.spec.K
    rho, delta = one.spec.tolerance * (1 - EDGE), one.spec.margin * (1 + EDGE)
    explained, opposite = ([labeled(rng, one, i, rho, sign) for i in range(K)] for sign in (1, -1))
    missed, missed_opposite = (
        [labeled(rng, one, i, delta, sign) for i in range(K)] for sign in (1, -1)
    )
    vanish = np.tile(feature_tasks(np.random.default_rng(7), SLOTS)[2], (N - 1, 1))
    return (
        prompt_of(explained + missed[:5], inputs_of(rng, one)),
        prompt_of(missed + opposite[:5], inputs_of(rng, one)),
        prompt_of(missed + missed_opposite[:5], inputs_of(rng, one)),
        prompt_of(opposite + missed_opposite[:5], np.zeros((N - 1, D))),
        prompt_of(missed_opposite + explained[1:], vanish),
    )
