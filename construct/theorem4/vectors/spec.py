"""The Spec of tasks of vectors, and whether tasks fit a Spec."""

from collections.abc import Sequence
from typing import Any

from construct import checks
from construct.checks import DERIVED
from construct.spec import Spec
from construct.vectors import VectorTask, input_tolerance
from construct.words import input_slots


def spec_of(
    tasks: Sequence[VectorTask],
    *,
    m: int,
    margin: float,
    tolerance: float = DERIVED,
    S: int | None = None,
    fallback: bool = False,
    coldness: float | None = None,
    dtype: str = "float32",
) -> Spec:
    """The Spec of tasks of vectors, for prompts of up to m examples with S input vectors each.

    margin: a task that does not explain a line misses it by at least this, the norm of all its
    residuals together; tolerance: one that does by at most this (default: a quarter of it). S: by
    default what the tasks read. fallback: answer a prefix that no task says by the prior.
    Raises ValueError when the tasks do not fit together.
    """
    tasks = list(tasks)
    if not tasks:
        raise checks.refuse("tasks", "an empty list", "must hold K >= 1 tasks", "pass a VectorTask")
    for i, task in enumerate(tasks):
        checks.instance(f"tasks[{i}]", task, VectorTask, "wrap it: VectorTask(slot=..., ...)")
    L, d, _ = tasks[0].matrices.shape
    S = max(task.slot for task in tasks) + 1 if S is None else checks.integer("S", S, 1, "pass S")
    spec = Spec(
        K=len(tasks),
        d=d,
        m=m,
        n=S + 1 + L,
        L=L,
        margin=margin,
        tolerance=tolerance,
        radius=1.0,
        input_radius=1.0,
        weight_norm=max(task.weight_norm for task in tasks),
        fallback=fallback,
        coldness=coldness,
        dtype=dtype,
    )
    check_vector_tasks(spec, tasks)
    return spec


def check_vector_tasks(spec: Spec, tasks: Sequence[Any]) -> None:
    """Refuse tasks that this Spec does not describe, whose matrices do not keep norms, or two that
    are the same."""
    if len(tasks) != spec.K:
        raise checks.refuse(
            "spec.K",
            spec.K,
            f"must be {len(tasks)}, as many as the tasks",
            "use spec_of(tasks, ...)",
        )
    S, seen, tolerance = input_slots(spec), {}, input_tolerance(spec)
    for i, task in enumerate(tasks):
        checks.instance(f"tasks[{i}]", task, VectorTask, "wrap it: VectorTask(slot=..., ...)")
        if task.matrices.shape != (spec.L, spec.d, spec.d):
            raise checks.refuse(
                f"tasks[{i}].matrices",
                f"an array of shape {task.matrices.shape}",
                f"must have shape (L, d, d) = {(spec.L, spec.d, spec.d)}",
                "use spec_of(tasks, ...), with matrices of one shape",
            )
        if task.slot >= S:
            raise checks.refuse(
                f"tasks[{i}].slot",
                task.slot,
                f"must be an input slot, 0..{S - 1}",
                "move the task or raise S",
            )
        if task.skew > tolerance:
            raise checks.refuse(
                f"tasks[{i}].matrices",
                f"W^T W is {task.skew:.3g} from the identity",
                f"must keep squared norms within {tolerance:.3g} (Theorem 4 on vectors)",
                "pass orthogonal matrices, or use Theorem 1",
            )
        key = (task.slot, (task.matrices + 0.0).tobytes())
        if key in seen:
            raise checks.refuse(
                f"tasks[{i}]",
                f"equal to tasks[{seen[key]}]",
                "must differ in slot or matrices",
                "remove one of the two",
            )
        seen[key] = i


__all__ = ["check_vector_tasks", "spec_of"]
