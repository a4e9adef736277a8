"""Theorem 2 at the edge of every hypothesis: one small instance with ReLU features, so that both of
Pair's copies are read.

Tasks 0, 1, 2 read slot 0, tasks 3 and 4 slot 1, task 5 slot 2. All map x0 to 0. No example has two
explanations.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np

from construct import Prompt, Spec, Transformer
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
from tests.mutants.fault import Fault, of_all_heads, recoded
from verify.draw import Instance
from verify.ideal import Stream, answer_token, example_inputs, flag

SLOTS = (0, 0, 0, 1, 1, 2)
# The layers that know the slot that a task reads, and the ones that know its matrix.
SLOT_LAYERS = TASK_LAYERS = ("recognize",)
EQUIVALENT: set[tuple[str, str]] = set()
TOLD_IN = "proofs/theorem2/README.md"
SHOWS = {
    "leaks": {"pair": "y q", "recognize": "output ok", "superpose": "output"},
    "rounds": {"pair": "f h", "recognize": "output", "superpose": "output"},
}
FEATURE_LAYERS = ("pair",)
LENGTHS = (3, 11)


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


def faults(model: Transformer) -> Iterator[Fault]:
    """The code that cancels the query's index, and the one that cancels the label's
    slot, off by one."""
    spec, bank, where = model.spec, model.layer("pair").banks[0], model.residual.where
    for term, told_by, number, bits in (
        ("example", "qry", spec.m, spec.example_bits),
        ("slot", "lab", spec.n - 1, spec.slot_bits),
    ):
        block = (slice(None), bank.rows(term), where(told_by).start)
        name = f"{told_by} cancels the {term} before its own"
        yield of_all_heads(model, "pair", "W_K", block, name, recoded(number, number - 1, bits))


def holds_output(layer: str, ideal: Stream) -> np.ndarray:
    """The answer token at the end, before it the inputs that count."""
    if layer == "superpose":
        return answer_token(ideal)
    return example_inputs(ideal) & flag(ideal, "ok")
