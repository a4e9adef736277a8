"""One small instance and a few prompts at the edge of every hypothesis, so that no gain has slack to hide a fault in.

Tasks 0, 1, 2 read slot 0, tasks 3 and 4 slot 1, task 5 the sum slot; codes 0, 1, 2 span a half circle, the longest sum of
codes there is. All tasks agree on x* (output t) and on x0 (output 0).
"""

from functools import cache

import numpy as np

from construct import FeatureMap, Prompt, Spec, Task
from verify.oracle import apply, fill
from verify.theorem1.draw import Instance

SLOTS = (0, 0, 0, 1, 1, 2)
D, FEATURES, M, N = 4, 5, 11, 4
EDGE = 1e-5  # how close to rho and delta the labels come, relative: beyond float32's rounding


@cache
def instance(dtype: str = "float32", coldness: float | None = None) -> Instance:
    """The instance: six tasks with ReLU features and a sum slot."""
    rng = np.random.default_rng(7)
    feature_map = FeatureMap(weight=rng.normal(size=(FEATURES, D)) / 2, bias=rng.uniform(0, 0.5, FEATURES))
    agree, vanish = _unit(rng), _unit(rng)
    phi, zero = apply(feature_map, agree), apply(feature_map, vanish)
    target = _unit(rng) / 2
    tasks = []
    for slot in SLOTS:
        weight = rng.normal(size=(D, FEATURES)) / 2
        weight += np.outer(target - weight @ (phi - zero), phi - zero) / ((phi - zero) @ (phi - zero))
        tasks.append(Task(slot=slot, weight=weight, bias=-weight @ zero))
    radius = max(t.weight_norm * (feature_map.weight_norm * 2 + feature_map.bias_norm) + t.bias_norm for t in tasks)
    spec = Spec.of(
        tasks, m=M, n=N, margin=0.25, radius=radius, feature_map=feature_map, input_radius=2.0, sum_slot=True, dtype=dtype,
        coldness=coldness,
    )  # fmt: skip
    return Instance(spec, tasks, feature_map, agree)


@cache
def prompts(dtype: str = "float32", coldness: float | None = None) -> tuple[Prompt, ...]:
    """Prompts of m examples each: labels at the edge of rho and delta, agreement in one slot and in several, no evidence."""
    one = instance(dtype, coldness)
    rng = np.random.default_rng(11)
    K = one.spec.K
    rho, delta = one.spec.tolerance * (1 - EDGE), one.spec.margin * (1 + EDGE)
    explained, opposite = ([_labeled(rng, one, i, rho, sign) for i in range(K)] for sign in (1, -1))
    missed, missed_opposite = ([_labeled(rng, one, i, delta, sign) for i in range(K)] for sign in (1, -1))
    agreeing = [_agreeing(rng, one, rest) for rest in ("blank", "random", "random")]
    vanish = np.zeros((N - 1, D))
    vanish[0] = _vanishing(one)
    return (
        _prompt(explained + missed[:2] + agreeing, _inputs(rng)),
        _prompt(missed[2:] + opposite[:4] + agreeing, _inputs(rng)),
        _prompt(missed + agreeing + missed_opposite[:2], _inputs(rng)),
        _prompt(opposite + missed_opposite[:4] + agreeing[:1], vanish),
    )


def _prompt(examples: list[tuple[np.ndarray, np.ndarray]], query: np.ndarray) -> Prompt:
    inputs, labels = (np.stack(part) for part in zip(*examples, strict=True))
    return Prompt(inputs=inputs[:M], labels=labels[:M], query=query)


def _outputs(one: Instance, inputs: np.ndarray) -> np.ndarray:
    phi = apply(one.feature_map, fill(inputs, True))
    return np.stack([task.weight @ phi[task.slot] + task.bias for task in one.tasks])


def _labeled(rng: np.random.Generator, one: Instance, task: int, distance: float, sign: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """An example whose label is this far from one task's output and at least the margin from all others'.

    It is off along W f, so that a fault in the matrix on one side of the quadratic form cannot hide behind a right angle.
    """
    while True:
        inputs = _inputs(rng)
        outputs = _outputs(one, inputs)
        along = outputs[task] - one.tasks[task].bias
        label = outputs[task] + sign * distance * along / np.linalg.norm(along)
        others = np.delete(np.linalg.norm(outputs - label, axis=1), task)
        if others.min() >= one.spec.margin * (1 + EDGE):
            return inputs, label


def _agreeing(rng: np.random.Generator, one: Instance, rest: str) -> tuple[np.ndarray, np.ndarray]:
    """x* in slot 0 with label t: the tasks of slot 0 agree; with a blank in slot 1 the sum slot shows x* too."""
    while True:
        inputs = np.zeros((N - 1, D)) if rest == "blank" else _inputs(rng)
        inputs[0] = one.shared
        outputs = _outputs(one, inputs)
        miss = np.linalg.norm(outputs - outputs[0], axis=1)
        if all(d < one.spec.tolerance / 2 or d >= one.spec.margin * (1 + EDGE) for d in miss):
            return inputs, outputs[0]


def _vanishing(one: Instance) -> np.ndarray:
    """The input x0 that every task maps to 0: it was drawn right after the feature map and x*."""
    rng = np.random.default_rng(7)
    rng.normal(size=(FEATURES, D)), rng.uniform(0, 0.5, FEATURES), _unit(rng)
    return _unit(rng)


def _inputs(rng: np.random.Generator) -> np.ndarray:
    inputs = np.stack([_unit(rng) * rng.uniform(0.5, 1) for _ in range(N - 1)])
    inputs[-1] = 0
    return inputs


def _unit(rng: np.random.Generator) -> np.ndarray:
    vector = rng.normal(size=D)
    return vector / np.linalg.norm(vector)
