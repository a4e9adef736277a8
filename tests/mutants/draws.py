"""What the suites of faults share: tasks that read features, and examples at the edge of tolerance
and margin."""

import numpy as np

from construct import FeatureMap, Prompt, Task
from verify.draw import Instance
from verify.oracle import features_of, fill

D, FEATURES, M, N = 4, 5, 11, 4
EDGE = 1e-5  # how close to rho and delta the labels come, relative: beyond float32's rounding

Example = tuple[np.ndarray, np.ndarray]  # inputs (n-1, d), label (d,)


def unit(rng: np.random.Generator, d: int = D) -> np.ndarray:
    """A random vector of norm 1."""
    vector = rng.normal(size=d)
    return vector / np.linalg.norm(vector)


def feature_tasks(
    rng: np.random.Generator, slots: tuple[int, ...]
) -> tuple[FeatureMap, np.ndarray, np.ndarray, list[Task]]:
    """A feature map, the input x* on which all tasks agree, the input x0 that all map to 0, and the
    tasks."""
    feature_map = FeatureMap(
        weight=rng.normal(size=(FEATURES, D)) / 2, bias=rng.uniform(0, 0.5, FEATURES)
    )
    agree, vanish = unit(rng), unit(rng)
    phi, zero = features_of(feature_map, agree), features_of(feature_map, vanish)
    target = unit(rng) / 2
    tasks = []
    for slot in slots:
        weight = rng.normal(size=(D, FEATURES)) / 2
        weight += np.outer(target - weight @ (phi - zero), phi - zero) / (
            (phi - zero) @ (phi - zero)
        )
        tasks.append(Task(slot=slot, weight=weight, bias=-weight @ zero))
    return feature_map, agree, vanish, tasks


def longest_output(feature_map: FeatureMap, tasks: list[Task]) -> float:
    """A radius for inputs of norm at most 2."""
    return max(
        t.weight_norm * (feature_map.weight_norm * 2 + feature_map.bias_norm) + t.bias_norm
        for t in tasks
    )


def inputs_of(rng: np.random.Generator, one: Instance) -> np.ndarray:
    """Inputs of norm 1/2 to 1; a sum slot is blank."""
    inputs = np.stack([unit(rng) * rng.uniform(0.5, 1) for _ in range(one.spec.n - 1)])
    if one.spec.sum_slot:
        inputs[-1] = 0
    return inputs


def outputs_of(one: Instance, inputs: np.ndarray) -> np.ndarray:
    """g_i of one example's inputs, (K, d)."""
    phi = features_of(one.feature_map, fill(inputs, one.spec.sum_slot))
    return np.stack([task.weight @ phi[task.slot] + task.bias for task in one.tasks])


def labeled(
    rng: np.random.Generator, one: Instance, task: int, distance: float, sign: int = 1
) -> Example:
    """An example whose label is this far from one task's output and at least the margin from all
    others'.

    It is off along W f, so that a fault in the matrix on one side of the quadratic form cannot hide
    behind a right angle.
    """
    while True:
        inputs = inputs_of(rng, one)
        outputs = outputs_of(one, inputs)
        along = outputs[task] - one.tasks[task].bias
        label = outputs[task] + sign * distance * along / np.linalg.norm(along)
        others = np.delete(np.linalg.norm(outputs - label, axis=1), task)
        if others.min() >= one.spec.margin * (1 + EDGE):
            return inputs, label


def prompt_of(examples: list[Example], query: np.ndarray) -> Prompt:
    """A prompt of these examples, up to m."""
    inputs, labels = (np.stack(part) for part in zip(*examples, strict=True))
    return Prompt(inputs=inputs[:M], labels=labels[:M], query=query)
