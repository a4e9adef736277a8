"""Tasks and the feature map that they share: g_i(X) = W_i phi(x_{p_i}) + b_i."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from construct import checks
from construct.checks import DERIVED


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """The ReLU feature map phi(x) = relu(B x + c) that all tasks of a transformer read.

    Shapes: weight B (r, d), bias c (r,), default 0. Raises ValueError when the shapes disagree or a
    value is not finite. Source: a sum of ReLUs as in Bai et al. 2023, Definition 12, split into
    shared features and a linear read-out (ours).
    """

    weight: Float[np.ndarray, "r d"]
    bias: Float[np.ndarray, "r"] = DERIVED

    def __post_init__(self) -> None:
        weight = checks.floats("FeatureMap.weight", self.weight, ("r", "d"))
        bias = (
            np.zeros(len(weight))
            if self.bias is None
            else checks.floats("FeatureMap.bias", self.bias, ("r",))
        )
        if min(weight.shape) < 1:
            raise checks.refuse(
                "FeatureMap.weight",
                f"an array of shape {weight.shape}",
                "must have r, d >= 1",
                "pass a matrix",
            )
        checks.shape("FeatureMap.bias", bias, weight.shape[:1], "(r,)")
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "bias", bias)

    @property
    def features(self) -> int:
        """The number of features r."""
        return len(self.weight)

    @cached_property
    def weight_norm(self) -> float:
        """Spectral norm of the matrix, rounded outward."""
        return _outward(np.linalg.norm(self.weight, 2), self.weight)

    @cached_property
    def bias_norm(self) -> float:
        """Euclidean norm of the bias, rounded outward."""
        return _outward(np.linalg.norm(self.bias), self.bias)


@dataclass(frozen=True, eq=False)
class Task:
    """One task g(X) = W phi(x_p) + b: it reads the input in one slot p and answers in R^d.

    Shapes: slot p in 0..n-2; weight W (d, r), with r = d when there is no feature map; bias b (d,),
    default 0. Raises ValueError when the shapes disagree, a value is not finite, or the slot is
    negative.
    """

    slot: int
    weight: Float[np.ndarray, "d r"]
    bias: Float[np.ndarray, "d"] = DERIVED

    def __post_init__(self) -> None:
        slot = checks.integer("Task.slot", self.slot, 0, "slots count from 0 to n-2")
        weight = checks.floats("Task.weight", self.weight, ("d", "r"))
        if min(weight.shape) < 1:
            raise checks.refuse(
                "Task.weight",
                f"an array of shape {weight.shape}",
                "must have d, r >= 1",
                "pass a matrix",
            )
        bias = (
            np.zeros(len(weight))
            if self.bias is None
            else checks.floats("Task.bias", self.bias, ("d",))
        )
        checks.shape("Task.bias", bias, weight.shape[:1], "(d,)")
        object.__setattr__(self, "slot", slot)
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "bias", bias)

    @cached_property
    def weight_norm(self) -> float:
        """Spectral norm of the matrix, rounded outward."""
        return _outward(np.linalg.norm(self.weight, 2), self.weight)

    @cached_property
    def bias_norm(self) -> float:
        """Euclidean norm of the bias, rounded outward."""
        return _outward(np.linalg.norm(self.bias), self.bias)


def check_family(tasks: Sequence[Task], n: int, feature_map: FeatureMap | None) -> None:
    """Refuse a family that no single transformer can hold.

    Raises ValueError when there is no task, shapes disagree, a slot does not exist, or two tasks
    are the same function: the same slot, matrix and bias could never be told apart, so every
    example of theirs would be abstained on.
    """
    if not tasks:
        raise checks.refuse(
            "tasks", "an empty list", "must hold K >= 1 tasks", "pass at least one Task"
        )
    for i, task in enumerate(tasks):
        if not isinstance(task, Task):
            raise checks.refuse(
                f"tasks[{i}]",
                repr(task)[:40],
                "must be a Task",
                "wrap it: Task(slot=..., weight=...)",
            )
    d = len(tasks[0].weight)
    r = d if feature_map is None else feature_map.features
    if feature_map is not None and feature_map.weight.shape[1] != d:
        raise checks.refuse(
            "feature_map.weight",
            f"an array of shape {feature_map.weight.shape}",
            f"must read vectors of dimension d = {d}",
            "use the tasks' d",
        )
    seen: dict[tuple[int, bytes, bytes], int] = {}
    for i, task in enumerate(tasks):
        checks.shape(f"tasks[{i}].weight", task.weight, (d, r), "(d, r)")
        if task.slot > n - 2:
            raise checks.refuse(
                f"tasks[{i}].slot",
                task.slot,
                f"must be an input slot, 0..{n - 2} for n = {n}",
                "move the task or raise n",
            )
        # Adding 0.0 makes -0.0 and 0.0 the same key: they are the same number.
        key = (task.slot, _digest(task.weight + 0.0), _digest(task.bias + 0.0))
        if key in seen:
            raise checks.refuse(
                f"tasks[{i}]",
                f"equal to tasks[{seen[key]}]",
                "must differ in slot, matrix or bias",
                "remove one of the two",
            )
        seen[key] = i


def _digest(array: np.ndarray) -> bytes:
    """A short stand-in for an array's bytes, equal for no two arrays that anybody will ever
    meet."""
    return hashlib.blake2b(array.tobytes()).digest()


def _outward(norm: np.floating, array: np.ndarray) -> float:
    """A computed norm plus its own rounding: a multiple of the dimensions' unit roundoff, for
    LAPACK as for a sum."""
    return float(norm) * (1 + sum(array.shape) * float(np.finfo(float).eps))
