"""Theorem 1 at the edge of every hypothesis: one small instance and a few prompts, so that no gain
has slack to hide a fault in.

Tasks 0, 1, 2 read slot 0, tasks 3 and 4 slot 1, task 5 the sum slot; codes 0, 1, 2 span a half
circle, the longest sum of codes there is. All tasks agree on x* (output t) and on x0 (output 0).
"""

from collections.abc import Iterator
from functools import cache

import numpy as np

from construct import Prompt, Spec, Transformer
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
from tests.mutants.fault import Fault, of_all_heads, query_index, rolled
from verify.draw import Instance
from verify.ideal import Stream, answer_token, committed_labels

SLOTS = (0, 0, 0, 1, 1, 2)
# The layers that know the slot that a task reads, and the ones that know its matrix.
SLOT_LAYERS = ("recognize", "fetch")
TASK_LAYERS = ("recognize", "execute")
# Heads that fetch from the same slot differ by their gates alone: to exchange two of them changes
# no answer.
# Two heads of Fetch that read one slot may be exchanged, and no answer changes; the check of the
# stored weights sees it all the same.
EQUIVALENT: set[tuple[str, str]] = set()
TOLD_IN = "docs/checks.md"
# Not listed: Pair, Fetch and Commit add no rounding of their own (a single weight of 1 copies, a
# count is exact).
SHOWS = {
    "leaks": {
        "lift": "x f",
        "pair": "y",
        "recognize": "z count",
        "commit": "z count",
        "fetch": "f",
        "execute": "output",
        "superpose": "output",
    },
    "rounds": {"lift": "x f", "recognize": "z count", "execute": "output", "superpose": "output"},
}
FEATURE_LAYERS = ("lift",)
LENGTHS = (1, 3, 5, 11)


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


def faults(model: Transformer) -> Iterator[Fault]:
    """All tasks' codes shifted by one, where they are written and where they are read;
    the query's index off by one."""
    z, shifted = model.residual.where("z"), "codes shifted by one task"
    yield of_all_heads(model, "recognize", "W_V", (slice(None), slice(0, 2)), shifted, rolled)
    for layer in ("fetch", "execute"):
        yield of_all_heads(
            model,
            layer,
            "W_Q",
            (slice(None), model.layer(layer).banks[0].rows("code"), z),
            shifted,
            rolled,
        )
    yield query_index(model, "fetch", "place")


def holds_output(layer: str, ideal: Stream) -> np.ndarray:
    """The answer token at the end, before it the committed labels."""
    return answer_token(ideal) if layer == "superpose" else committed_labels(ideal)
