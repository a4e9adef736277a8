"""The Spec of tasks of vectors, and whether tasks fit a Spec."""

from collections.abc import Sequence
from typing import Any

from construct import checks
from construct.checks import DERIVED
from construct.spec import Spec
from construct.theorem4.spec import check_line_tasks, listed
from construct.vectors import VectorTask, input_tolerance

LONGEST = 2.0


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
    tasks = listed(tasks, VectorTask)
    L, d, _ = tasks[0].matrices.shape
    read = max(task.slot for task in tasks) + 1
    slots = read if S is None else checks.integer("S", S, 1, "pass S")
    spec = Spec(
        K=len(tasks),
        d=d,
        m=m,
        n=slots + 1 + L,
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
    check_line_tasks(spec, tasks, VectorTask, "matrices", (spec.L, spec.d, spec.d))
    if spec.margin > LONGEST:
        raise checks.refuse(
            "margin",
            f"{spec.margin:g}",
            f"must be at most {LONGEST:g}: no two unit vectors are farther apart",
            "lower it",
        )
    tolerance = input_tolerance(spec)
    for i, task in enumerate(tasks):
        if task.skew > tolerance:
            raise checks.refuse(
                f"tasks[{i}].matrices",
                f"W^T W is {task.skew:.3g} from the identity",
                f"must keep squared norms within {tolerance:.3g} (Theorem 4 on vectors)",
                "pass orthogonal matrices, or use Theorem 1",
            )
