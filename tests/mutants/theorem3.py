"""Theorem 3 at the edge of every hypothesis: a vocabulary whose outputs are as short and as long as
the norm tolerance allows.

Inputs are one-hot; W_i e_v + b_i is any vector of about norm 1. Symbol 0: all tasks agree. Symbols
1 to 3: outputs, and their labels, have the least norm, where an explained example is hardest to
tell; symbols 4 to 7: the greatest, where noise is. Tasks 0, 1, 2 read slot 1, tasks 3 and 4 slot 0,
task 5 slot 2. Nobody reads slot 3, one bit away from slots 1 and 2: its input need not keep the
norm, and is the one whose output is most like the label.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np

from construct import Prompt, Spec, Task, Transformer
from construct.theorem3.gains import norm_tolerance
from tests.mutants.draws import EDGE, Example, M, prompt_of, unit
from tests.mutants.fault import Fault, of_all_heads, query_index, rolled, swapped_heads
from verify.draw import Instance
from verify.ideal import Stream, answer_token

SLOTS = (1, 1, 1, 0, 0, 2)
# The layers that know the slot that a task reads, and the ones that know its matrix.
GATES = ("balance", "open", "correct")
SLOT_LAYERS = TASK_LAYERS = ("recognize", *GATES)
# All of Balance's gates are 1/2, so its heads of one slot differ by their values alone: to exchange
# two of them changes no answer.
EQUIVALENT = swapped_heads("balance", "W_V", ((0, 1), (1, 2), (3, 4)))
TOLD_IN = "proofs/theorem3/README.md"
# Not listed: Recognize adds no rounding of its own; what Open and Correct leak is less than what
# they allow for an error of w, and Correct's rounding no more than the series' remainder.
SHOWS = {
    "leaks": {"recognize": "w count", "tally": "w", "balance": "y"},
    "rounds": {"tally": "w", "balance": "y", "open": "y"},
}
FEATURE_LAYERS = ()
LENGTHS = (3, 11)
SYMBOLS, N = 8, 5
MARGIN = 1.3  # wide enough that BOS must be raised where no label asks
LOW, HIGH = (1, 2, 3), (4, 5, 6, 7)


@cache
def instance(dtype: str = "float32", coldness: float | None = None) -> Instance:
    """The instance: six tasks on five symbols."""
    rng = np.random.default_rng(7)
    spec = _spec([Task(slot=0, weight=np.eye(SYMBOLS))], 1.0, dtype, coldness)
    off = (1 - EDGE) * norm_tolerance(spec)
    shared = unit(rng, SYMBOLS)
    symbols = [np.tile(shared, (len(SLOTS), 1))] + [
        np.sqrt(1 + (off if symbol in HIGH else -off)) * _frame(rng, shared)
        for symbol in range(1, SYMBOLS)
    ]
    tasks = []
    for slot, outputs in zip(SLOTS, np.stack(symbols, axis=1), strict=True):
        along = outputs[list(LOW)].sum(0)
        bias = along / np.linalg.norm(along) / 2  # no head reads an explained label without it
        tasks.append(Task(slot=slot, weight=(outputs - bias).T, bias=bias))
    radius = max(task.weight_norm + task.bias_norm for task in tasks)
    return Instance(_spec(tasks, radius, dtype, coldness), tasks, None, np.eye(SYMBOLS)[0])


def _spec(tasks: list[Task], radius: float, dtype: str, coldness: float | None) -> Spec:
    return Spec.of(
        tasks,
        m=M,
        n=N,
        margin=MARGIN,
        radius=radius,
        input_radius=1.0,
        dtype=dtype,
        coldness=coldness,
    )


@cache
def prompts(dtype: str = "float32", coldness: float | None = None) -> tuple[Prompt, ...]:
    """Prompts of m examples each: residuals and norms at their edges, agreement, no evidence, pure,
    and a query of agreement."""
    one = instance(dtype, coldness)
    rng = np.random.default_rng(11)
    K = one.spec.K
    rho, delta = one.spec.tolerance * (1 - EDGE), one.spec.margin * (1 + EDGE)
    explained, more = ([_labeled(rng, one, i, rho, LOW) for i in range(K)] for _ in range(2))
    missed = [_labeled(rng, one, i, delta, HIGH) for i in range(K)]
    pure = [_labeled(rng, one, 1, rho, LOW) for _ in range(4)]
    agreeing = [_agreeing(rng, one, slots) for slots in ((1,), (0, 1, 2), (0,))]
    words, agree = _words(rng), np.tile(one.shared, (N - 1, 1))
    return (
        prompt_of(
            explained + more[::2] + missed[:2], words
        ),  # no two tasks in a row are as prevalent
        prompt_of(
            missed[2:] + more[:4] + agreeing, unit(rng, (N - 1) * SYMBOLS).reshape(N - 1, SYMBOLS)
        ),
        prompt_of(missed + agreeing, words),
        prompt_of(pure + missed + agreeing[:1], words),
        prompt_of(more + missed[:4], agree),
    )


def _frame(rng: np.random.Generator, shared: np.ndarray) -> np.ndarray:
    """A vector for every task, all of norm 1, at right angles to each other and to the shared
    output."""
    drawn = np.column_stack([shared, rng.normal(size=(SYMBOLS, len(SLOTS)))])
    return np.linalg.qr(drawn)[0][:, 1:].T


def _words(rng: np.random.Generator, symbols: tuple[int, ...] = LOW + HIGH) -> np.ndarray:
    return np.eye(SYMBOLS)[rng.choice(symbols, size=N - 1)]


def _outputs(one: Instance, inputs: np.ndarray) -> np.ndarray:
    return np.stack([task.weight @ inputs[task.slot] + task.bias for task in one.tasks])


def _labeled(
    rng: np.random.Generator, one: Instance, task: int, distance: float, symbols: tuple[int, ...]
) -> Example:
    """An example whose label has the norm of one task's output, is this far from it, and at least
    the margin from all others'."""
    while True:
        inputs = _words(rng, symbols)
        outputs = _outputs(one, inputs)
        output = outputs[task]
        norm = np.linalg.norm(output)
        aside = unit(rng, SYMBOLS)
        aside -= aside @ output / norm**2 * output
        angle = 2 * np.arcsin(distance / (2 * norm))
        label = np.cos(angle) * output + np.sin(angle) * norm * aside / np.linalg.norm(aside)
        others = np.delete(np.linalg.norm(outputs - label, axis=1), task)
        if others.min() >= one.spec.margin * (1 + EDGE):
            alike = one.tasks[task].weight.T @ label
            inputs[-1] = alike / np.linalg.norm(
                alike
            )  # the input of norm 1 with the greatest <y, W x>
            return inputs, label


def _agreeing(rng: np.random.Generator, one: Instance, slots: tuple[int, ...]) -> Example:
    """Symbol 0 in these slots with the shared label: their tasks agree, all others are far off."""
    label = _outputs(one, np.tile(one.shared, (N - 1, 1)))[0]
    while True:
        inputs = _words(rng)
        inputs[list(slots)] = one.shared
        miss = np.linalg.norm(_outputs(one, inputs) - label, axis=1)
        if all(d < 1e-9 or d >= one.spec.margin * (1 + EDGE) for d in miss):
            return inputs, label


def faults(model: Transformer) -> Iterator[Fault]:
    """The task vector's coordinates shifted by one task, where they are written and
    read; the query's index off by one; a gate of another slope; the mask dropped."""
    w = model.residual.where("w")
    yield of_all_heads(model, "recognize", "W_O", (slice(None), w), "w shifted by one task", rolled)
    yield of_all_heads(
        model,
        "tally",
        "W_O",
        (slice(None), w),
        "w shifted by one task",
        lambda block: np.roll(block, 1, axis=1),
    )
    for layer in GATES:
        yield query_index(model, layer, "place")
        if layer != "balance":
            rows = model.layer(layer).banks[0].rows("weight")
            yield of_all_heads(
                model, layer, "W_Q", (slice(None), rows, w), "w shifted by one task", rolled
            )
            yield of_all_heads(
                model,
                layer,
                "W_Q",
                (slice(None), rows),
                "the slope 1% off",
                lambda block: 1.01 * block,
            )
        yield of_all_heads(
            model,
            layer,
            "W_O",
            (slice(None),),
            "the coefficient 1% off",
            lambda block: 1.01 * block,
        )
    for layer in model.layers:
        yield Fault(
            layer.name,
            "the mask dropped",
            lambda model, name=layer.name: setattr(model.layer(name), "causal", False),
        )


def holds_output(layer: str, ideal: Stream) -> np.ndarray:
    """The answer token."""
    return answer_token(ideal)
