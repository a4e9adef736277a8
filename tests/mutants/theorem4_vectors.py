"""Theorem 4 on vectors where every part of every layer is needed: five tasks that read three of
four slots, whose answers share vectors and part at each place; prompts that show all of them, with
noise and ambiguity, few examples and none that count; and prefixes of every length, hard and soft.

Tasks 0 and 1 read slot 1, tasks 2 and 3 slot 0, task 4 slot 2; nobody reads slot 3. Tolerance and
margin are near each other, so that a decision that is off shows.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np

from construct import Transformer
from construct.theorem4.vectors import spec_of
from construct.vectors import VectorPrompt, VectorTask
from tests.mutants.fault import Fault, of_all_heads, put
from verify.ideal import Stream
from verify.theorem4.layer4_posterior import asks as predicts
from verify.theorem4.vectors.definition import judge
from verify.theorem4.vectors.draw import Instance, unit

SLOTS = (1, 1, 0, 0, 2)
S, L, D, M = 4, 3, 4, 12
MARGIN, TOLERANCE = 0.25, 0.2
# By example, in which place its answer is off, and how far: just explained, or just not.
OFF = {0: (0, 0.97 * TOLERANCE), 1: (1, 0.97 * TOLERANCE), 2: (2, 0.97 * TOLERANCE)}
OFF |= {5 + place: (place, 1.03 * MARGIN) for place in range(L)}
SLOT_LAYERS = TASK_LAYERS = ("recognize", "posterior")
# An arrow's mean is 1, far above any threshold; no coordinate of a soft vector exceeds 1.
EQUIVALENT = {
    *(("commit", f"W_Q[threshold.a0] {operation}") for operation in ("halved", "quartered")),
    ("recognize", "MLP W_1[all, soft] halved"),
}
TOLD_IN = "proofs/theorem4/README.md"
SHOWS: dict[str, dict[str, str]] = {}
FEATURE_LAYERS: tuple[str, ...] = ()
LENGTHS = (3, 11)


def _turning(*planes: tuple[int, int, float]) -> np.ndarray:
    """A product of rotations, each of a plane of two coordinates by an angle."""
    found = np.eye(D)
    for one, other, angle in planes:
        turn = np.eye(D)
        turn[[one, other], [one, other]] = np.cos(angle)
        turn[one, other], turn[other, one] = -np.sin(angle), np.sin(angle)
        found = turn @ found
    return found


@cache
def instance(
    dtype: str = "float32", coldness: float | None = None, fallback: bool = False
) -> Instance:
    """Tasks that agree on the first coordinate's vector, in all places but the last; tasks 0 and 1
    also in the first place on all vectors, tasks 2 and 3 in the first two."""
    rng = np.random.default_rng(3)
    first = [_turning((0, 1, 0.9), (2, 3, 0.5)), _turning((0, 2, 1.1), (1, 3, 2.0))]
    tasks = []
    for slot in SLOTS:
        inner = np.eye(D)
        inner[1:, 1:] = np.linalg.qr(rng.normal(size=(D - 1, D - 1)))[0]
        own = [first[0] @ inner, first[1] @ inner, np.linalg.qr(rng.normal(size=(D, D)))[0]]
        if slot == 1:
            own[0] = first[0]
        if slot == 0:
            own[:2] = first
        tasks.append(VectorTask(slot, np.array(own)))
    alike = tasks[1].matrices.copy()
    inner = np.eye(D)
    inner[1, 1] = -1
    alike[1:] = tasks[0].matrices[1:] @ inner  # ambiguous wherever the second coordinate is 0
    tasks[1] = VectorTask(SLOTS[1], alike)
    spec = spec_of(
        tasks,
        m=M,
        S=S,
        margin=MARGIN,
        tolerance=TOLERANCE,
        dtype=dtype,
        coldness=coldness,
        fallback=fallback,
    )
    return Instance(spec, tasks, np.eye(D)[0])


@cache
def prompts(
    dtype: str = "float32", coldness: float | None = None, fallback: bool = False
) -> tuple[VectorPrompt, ...]:
    """Prompts of m examples each, in front of prefixes of each length, hard and soft; and one that
    shows nothing."""
    one = instance(dtype, coldness, fallback)
    rng = np.random.default_rng(11)
    order = np.arange(M) % len(SLOTS)
    shown = [_shown(rng, one, tasks) for tasks in (order, order[::-1])]
    queries = [_query(rng, one) for _ in range(3)]
    said = [[task.matrices @ query[task.slot] for task in one.tasks] for query in queries]
    alike = np.tile(np.eye(D)[0], (S, 1))
    first = VectorPrompt(*shown[1], alike)
    mixed = [np.mean([t.matrices[u] @ alike[t.slot] for t in one.tasks], axis=0) for u in range(2)]
    return (
        first.after(mixed, soft=True),
        VectorPrompt(*shown[0], queries[0]).after(said[0][0][:1]),
        VectorPrompt(*shown[0], queries[1]).after(said[1][2][:2]),
        VectorPrompt(*shown[1], queries[2]),
        VectorPrompt(*shown[1], queries[0]).after(said[0][4][:2]),
        VectorPrompt(*shown[0], queries[2]).after(mixed[:1], soft=True),
        VectorPrompt(shown[0][0], np.roll(shown[0][1], 1, axis=0), queries[1]),
    )


def _decided(one: Instance, inputs: np.ndarray, answer: np.ndarray) -> bool:
    prompt = VectorPrompt(inputs[None], answer[None], inputs)
    try:
        judge(one.spec, one.tasks, prompt)
    except ValueError:
        return False
    return True


def _turned_by(rng: np.random.Generator, vector: np.ndarray, chord: float) -> np.ndarray:
    """A unit vector so far from another, in a random direction."""
    aside = rng.normal(size=D)
    aside -= aside @ vector * vector
    angle = 2 * np.arcsin(chord / 2)
    return np.cos(angle) * vector + np.sin(angle) * aside / np.linalg.norm(aside)


def _query(rng: np.random.Generator, one: Instance) -> np.ndarray:
    """A query about which any two tasks say the same or are the margin apart, at every place."""
    while True:
        query = unit(rng, S, D)
        if all(_decided(one, query, task.matrices @ query[task.slot]) for task in one.tasks):
            return query


def _shown(
    rng: np.random.Generator, one: Instance, tasks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Examples of these tasks up to m, some off by almost the tolerance or little more than the
    margin; the very last are noise, and ambiguous."""
    lines = []
    for j, i in enumerate(tasks):
        task = one.tasks[i]
        while True:
            row = unit(rng, S, D)
            if j == M - 1:
                row[SLOTS[0], 1] = 0
                row[SLOTS[0]] /= np.linalg.norm(row[SLOTS[0]])
                task = one.tasks[0]
            answer = task.matrices @ row[task.slot]
            if j == M - 2:
                answer[-1] = unit(rng, D)
            if j in OFF:
                place, chord = OFF[j]
                answer[place] = _turned_by(rng, answer[place], chord)
            # np.roll gives every line the answer of another, which must be decided too.
            if _decided(one, row, answer) and (not lines or _decided(one, row, lines[-1][1])):
                lines.append((row, answer))
                break
    inputs, answers = (np.stack(part) for part in zip(*lines, strict=True))
    return inputs, answers


def faults(model: Transformer) -> Iterator[Fault]:
    """Tasks' coordinates shifted by one where they are written and read; a threshold or a corner
    that is off; one unit dead; an answer's places exchanged; the mask dropped."""
    residual = model.residual
    for layer, name in (("consistency", "g"), ("posterior", "omega")):
        yield of_all_heads(
            model,
            layer,
            "W_O",
            (slice(None), residual.where(name)),
            f"{name} shifted by one task",
            lambda block: np.roll(block, 1, axis=1),
        )
    yield _of_mlp("recognize", "W_2", (residual.where("w"),), "w shifted by one task", _rolled)
    yield _of_mlp("commit", "W_2", (residual.where("c"),), "c shifted by one task", _rolled)
    omega = (slice(None), residual.where("omega"))
    yield _of_mlp("posterior", "W_1", omega, "omega shifted by one task", _turned)
    one = (slice(None), residual.where("one"))
    for layer, off in (("recognize", 0.5), ("commit", 0.5), ("posterior", 0.5)):
        for sign in (1, -1):
            yield _of_mlp(
                layer,
                "W_1",
                one,
                f"thresholds off by {sign * off}",
                lambda b, by=sign * off: b + by,
            )
    for layer in ("recognize", "posterior"):
        for matrix in ("W_1", "W_3"):
            for unit_ in _units(model, layer):
                where = (slice(unit_, unit_ + 1),)
                yield _of_mlp(layer, matrix, where, f"unit {unit_} dead", np.zeros_like)
        for u in range(L):
            both = [residual.where(f"a{k}").start for k in (u, (u + 1) % (L + 1))]
            yield _of_mlp(
                layer,
                "W_1",
                (slice(None), both),
                f"a{u} and the next exchanged",
                lambda block: block[:, ::-1],
            )
    for by in (0.05, -0.05):
        yield of_all_heads(
            model,
            "commit",
            "W_Q",
            (slice(None), model.layer("commit").banks[0].rows("threshold"), residual.where("g")),
            f"the mean counts for {1 + by} of itself",
            lambda block, by=by: block * (1 + by),
        )
    for layer in model.layers:
        yield Fault(
            layer.name,
            "the mask dropped",
            lambda model, name=layer.name: setattr(model.layer(name), "causal", False),
        )


def _units(model: Transformer, layer: str) -> list[int]:
    """For each task and place the unit of one coordinate."""
    each = len(model.layer(layer).mlp.W_1[...]) // (model.spec.K * L)
    return [k * each for k in range(model.spec.K * L)]


def _rolled(block: np.ndarray) -> np.ndarray:
    return np.roll(block, 1, axis=0)


def _turned(block: np.ndarray) -> np.ndarray:
    return np.roll(block, 1, axis=1)


def _of_mlp(layer: str, matrix: str, where: tuple, name: str, change) -> Fault:
    return Fault(
        layer,
        f"MLP {matrix}: {name}",
        lambda model: put(getattr(model.layer(layer).mlp, matrix), where, change),
    )


def holds_output(layer: str, ideal: Stream) -> np.ndarray:
    """Every token that predicts."""
    return predicts(ideal)
