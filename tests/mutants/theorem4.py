"""Theorem 4 where every part of every layer is needed: six tasks that read three of four slots,
whose answers share words and part at each place, with blanks; prompts that show all of them, with
noise, ambiguity, blank words, few examples and none that count; and prefixes of every length, hard
and soft.

Tasks 0, 1, 2 read slot 1, tasks 3 and 4 slot 0, task 5 slot 2; nobody reads slot 3.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np

from construct import Transformer
from construct.theorem4 import spec_of
from construct.words import BLANK, WordPrompt, WordTask
from tests.mutants.fault import Fault, of_all_heads, put
from verify.ideal import Stream
from verify.theorem4.definition import judge
from verify.theorem4.draw import Instance
from verify.theorem4.layer4_posterior import asks as predicts

SLOTS = (1, 1, 1, 0, 0, 2)
S, L, D, M = 4, 3, 5, 16
SLOT_LAYERS = TASK_LAYERS = ("recognize", "posterior")
# The last word of a line is never a soft one, and a hard one is told at a weight of a quarter too.
EQUIVALENT = {
    ("recognize", f"MLP W_1[all, a{L}] {operation}") for operation in ("halved", "quartered")
}
TOLD_IN = "proofs/theorem4/README.md"
# The lemmas' terms are refuted in tests/theorem4/test_bounds.py, whose errors are Theorem 4's own.
SHOWS: dict[str, dict[str, str]] = {}
FEATURE_LAYERS: tuple[str, ...] = ()
LENGTHS = (3, 11)


@cache
def instance(
    dtype: str = "float32", coldness: float | None = None, fallback: bool = False
) -> Instance:
    """Tasks that say the same first word about word 1, the same two about word 2, and nothing about
    word 4 in the place of their number; about word 0 tasks 0 and 1 say the same."""
    rng = np.random.default_rng(3)
    tasks = []
    for i, slot in enumerate(SLOTS):
        words = rng.integers(D, size=(L, D))
        words[0, 1], words[:2, 2] = 3, (0, 4)
        words[-1, 1] = i % D
        words[i % L, 4] = BLANK
        tasks.append(WordTask(slot, words))
    alike = tasks[1].words.copy()
    alike[:, 0] = tasks[0].words[:, 0]
    tasks[1] = WordTask(SLOTS[1], alike)
    spec = spec_of(tasks, m=M, S=S, dtype=dtype, coldness=coldness, fallback=fallback)
    return Instance(spec, tasks)


@cache
def prompts(
    dtype: str = "float32", coldness: float | None = None, fallback: bool = False
) -> tuple[WordPrompt, ...]:
    """Prompts of m examples each, in front of prefixes of each length, hard, soft, and as faint as
    a soft word may be; and one that shows nothing."""
    one = instance(dtype, coldness, fallback)
    rng = np.random.default_rng(11)
    order = np.arange(M) % len(SLOTS)
    shown = [_shown(rng, one, tasks) for tasks in (order, order[::-1])]
    alike, parted, mixed, blank = (
        np.array(words) for words in ([1, 1, 1, 0], [2, 2, 2, 1], [3, 0, 1, 2], [4, 4, 4, 3])
    )
    first = WordPrompt(*shown[1], alike)
    said = judge(one.tasks, first, M).said
    faint = np.where(np.arange(D) == said[5, 0], 3 / (4 * M) * (1 + 1e-6), 0)
    return (
        first.after([_mixture(said[:, t]) for t in range(2)]),
        WordPrompt(*shown[0], parted).after([0]),
        WordPrompt(*shown[0], alike).after(said[3][:2]),
        WordPrompt(*shown[1], mixed),
        WordPrompt(*shown[0], blank),
        first.after([faint]),
        WordPrompt(shown[0][0], (shown[0][1] + 1) % D, mixed),
    )


def _shown(
    rng: np.random.Generator, one: Instance, tasks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Examples of these tasks up to m, word 1 in all slots of some of the last; the very last are
    of a blank word, noise, and ambiguous."""
    lines = []
    for j, task in enumerate(tasks):
        word = {6: 1, 9: 2, 12: 1}.get(j)
        while True:  # until this task alone explains it
            row = rng.integers(D - 1, size=S) if word is None else np.full(S, word)
            answer = one.tasks[task].words[:, row[SLOTS[task]]]
            prompt = WordPrompt(row[None], answer[None], row)
            if word is not None or judge(one.tasks, prompt, M).recognized[0] == task:
                lines.append((row, answer))
                break
    inputs, answers = (np.stack(part) for part in zip(*lines, strict=True))
    inputs[-1, SLOTS[0]], answers[-1] = 0, one.tasks[0].words[:, 0]
    answers[-2] = rng.integers(D, size=L)
    inputs[-3, 0] = BLANK
    return inputs, answers


def _mixture(words: np.ndarray) -> np.ndarray:
    """The soft word of all tasks that say one, alike."""
    counts = np.bincount(words[words != BLANK], minlength=D).astype(float)
    return counts / counts.sum()


def faults(model: Transformer) -> Iterator[Fault]:
    """Tasks' coordinates shifted by one where they are written and read; a threshold, a corner or a
    slope that is off; one unit dead; an answer's places exchanged; the mask dropped."""
    residual = model.residual
    for layer, name in (("consistency", "g"), ("posterior", "omega")):
        where = residual.where(name)
        yield of_all_heads(
            model,
            layer,
            "W_O",
            (slice(None), where),
            f"{name} shifted by one task",
            lambda block: np.roll(block, 1, axis=1),
        )
    for layer, name in (("recognize", "w"), ("consistency", "c")):
        yield _of_mlp(layer, "W_2", residual.where(name), f"{name} shifted by one task", _rolled)
    for layer in ("consistency", "posterior"):
        name = {"consistency": "g", "posterior": "omega"}[layer]
        yield _columns(layer, residual.where(name), f"{name} shifted by one task", _turned)
    one = residual.where("one")
    for layer, off in (("recognize", 0.5), ("consistency", 0.25), ("posterior", 0.5)):
        for sign in (1, -1):
            yield _columns(
                layer, one, f"thresholds off by {sign * off}", lambda b, by=sign * off: b + by
            )
    for layer in ("recognize", "posterior"):
        for unit in _units(model, layer):
            yield _row(layer, unit, f"unit {unit} dead", np.zeros_like)
        for u in range(L):
            first, second = (residual.where(f"a{k}") for k in (u, (u + 1) % (L + 1)))
            yield _exchanged(layer, first, second, f"a{u} and the next exchanged")
    for layer in model.layers:
        if not all(bank.idle for bank in layer.banks):
            yield Fault(
                layer.name,
                "the mask dropped",
                lambda model, name=layer.name: setattr(model.layer(name), "causal", False),
            )


def _units(model: Transformer, layer: str) -> list[int]:
    """For each task and place the unit of the word that is asked about in the first prompts."""
    K = model.spec.K
    return [(i * L + t) * D + 1 for i in range(K) for t in range(L)]


def _rolled(block: np.ndarray) -> np.ndarray:
    return np.roll(block, 1, axis=0)


def _turned(block: np.ndarray) -> np.ndarray:
    return np.roll(block, 1, axis=1)


def _of_mlp(layer: str, matrix: str, where: slice, name: str, change) -> Fault:
    return Fault(
        layer,
        f"MLP {matrix}: {name}",
        lambda model: put(getattr(model.layer(layer).mlp, matrix), (where,), change),
    )


def _columns(layer: str, where: slice, name: str, change) -> Fault:
    return Fault(
        layer,
        f"MLP W_1: {name}",
        lambda model: put(model.layer(layer).mlp.W_1, (slice(None), where), change),
    )


def _row(layer: str, unit: int, name: str, change) -> Fault:
    return Fault(
        layer,
        f"MLP W_1: {name}",
        lambda model: put(model.layer(layer).mlp.W_1, (slice(unit, unit + 1),), change),
    )


def _exchanged(layer: str, first: slice, second: slice, name: str) -> Fault:
    both = [first.start, second.start]
    return Fault(
        layer,
        f"MLP W_1: {name}",
        lambda model: put(
            model.layer(layer).mlp.W_1, (slice(None), both), lambda block: block[:, ::-1]
        ),
    )


def holds_output(layer: str, ideal: Stream) -> np.ndarray:
    """Every token that predicts."""
    return predicts(ideal)
