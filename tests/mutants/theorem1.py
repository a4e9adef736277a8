"""Theorem 1 at the edge of every hypothesis: one small instance and a few prompts, so that no gain
has slack to hide a fault in.

Tasks 0, 1, 2 read slot 0, tasks 3 and 4 slot 1, task 5 the sum slot; codes 0, 1, 2 span a half
circle, the longest sum of codes there is. All tasks agree on x* (output t) and on x0 (output 0).
"""

from functools import cache

import numpy as np

from construct import Prompt, Spec
from tests.mutants.draws import (
    EDGE,
    D,
    Example,
    M,
    N,
    feature_tasks,
    inputs_of,
    labeled,
    longest_output,
    outputs_of,
    prompt_of,
)
from verify.draw import Instance

SLOTS = (0, 0, 0, 1, 1, 2)


@cache
def instance(dtype: str = "float32", coldness: float | None = None) -> Instance:
    """The instance: six tasks with ReLU features and a sum slot."""
    feature_map, agree, _, tasks = feature_tasks(np.random.default_rng(7), SLOTS)
    spec = Spec.of(
        tasks,
        m=M,
        n=N,
        margin=0.25,
        radius=longest_output(feature_map, tasks),
        feature_map=feature_map,
        input_radius=2.0,
        sum_slot=True,
        dtype=dtype,
        coldness=coldness,
    )
    return Instance(spec, tasks, feature_map, agree)


@cache
def prompts(dtype: str = "float32", coldness: float | None = None) -> tuple[Prompt, ...]:
    """Prompts of m examples each: labels at the edge of rho and delta, agreement in one slot and in
    several, no evidence."""
    one = instance(dtype, coldness)
    rng = np.random.default_rng(11)
    K = one.spec.K
    rho, delta = one.spec.tolerance * (1 - EDGE), one.spec.margin * (1 + EDGE)
    explained, opposite = ([labeled(rng, one, i, rho, sign) for i in range(K)] for sign in (1, -1))
    missed, missed_opposite = (
        [labeled(rng, one, i, delta, sign) for i in range(K)] for sign in (1, -1)
    )
    agreeing = [_agreeing(rng, one, rest) for rest in ("blank", "random", "random")]
    vanish = np.zeros((N - 1, D))
    vanish[0] = feature_tasks(np.random.default_rng(7), SLOTS)[2]
    return (
        prompt_of(explained + missed[:2] + agreeing, inputs_of(rng, one)),
        prompt_of(missed[2:] + opposite[:4] + agreeing, inputs_of(rng, one)),
        prompt_of(missed + agreeing + missed_opposite[:2], inputs_of(rng, one)),
        prompt_of(opposite + missed_opposite[:4] + agreeing[:1], vanish),
    )


def _agreeing(rng: np.random.Generator, one: Instance, rest: str) -> Example:
    """x* in slot 0 with label t: the tasks of slot 0 agree; with a blank in slot 1 the sum slot
    shows x* too."""
    while True:
        inputs = np.zeros((N - 1, D)) if rest == "blank" else inputs_of(rng, one)
        inputs[0] = one.shared
        outputs = outputs_of(one, inputs)
        miss = np.linalg.norm(outputs - outputs[0], axis=1)
        if all(d < one.spec.tolerance / 2 or d >= one.spec.margin * (1 + EDGE) for d in miss):
            return inputs, outputs[0]
