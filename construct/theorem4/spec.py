"""The Spec of tasks of words, and whether tasks fit a Spec."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from construct import checks
from construct.spec import Spec
from construct.words import WordTask, input_slots


def spec_of(
    tasks: Sequence[WordTask],
    *,
    m: int,
    S: int | None = None,
    fallback: bool = False,
    coldness: float | None = None,
    dtype: str = "float32",
) -> Spec:
    """The Spec of tasks of words, for prompts of up to m examples with S input words each.

    S: by default what the tasks read. fallback: answer a prefix that no task says by the prior. Two
    words are sqrt(2) apart, which is the margin; nothing else depends on it.
    Raises ValueError when the tasks do not fit together.
    """
    tasks = listed(tasks, WordTask)
    L, d = tasks[0].words.shape
    read = max(task.slot for task in tasks) + 1
    slots = read if S is None else checks.integer("S", S, 1, "pass S")
    spec = Spec(
        K=len(tasks),
        d=d,
        m=m,
        n=slots + 1 + L,
        L=L,
        margin=float(np.sqrt(2)),
        tolerance=0.0,
        radius=1.0,
        input_radius=1.0,
        weight_norm=max(task.weight_norm for task in tasks),
        fallback=fallback,
        coldness=coldness,
        dtype=dtype,
    )
    check_word_tasks(spec, tasks)
    return spec


def check_word_tasks(spec: Spec, tasks: Sequence[Any]) -> None:
    """Refuse tasks that this Spec does not describe, or two that are the same: those could never be
    told apart, so every example of theirs would be left out."""
    check_line_tasks(spec, tasks, WordTask, "words", (spec.L, spec.d))


def listed(tasks: Sequence[Any], kind: type) -> list[Any]:
    """The tasks as a list. Raises ValueError for none, or one that is not of its kind."""
    tasks = list(tasks)
    if not tasks:
        raise checks.refuse(
            "tasks", "an empty list", "must hold K >= 1 tasks", f"pass a {kind.__name__}"
        )
    for i, task in enumerate(tasks):
        checks.instance(f"tasks[{i}]", task, kind, f"wrap it: {kind.__name__}(slot=..., ...)")
    return tasks


def check_line_tasks(
    spec: Spec, tasks: Sequence[Any], kind: type, tables: str, shape: tuple[int, ...]
) -> None:
    """Refuse another number of tasks than the Spec's, tables (an attribute) of another shape, a
    slot that is no input's, or two tasks that are the same."""
    if len(tasks) != spec.K:
        raise checks.refuse(
            "spec.K",
            spec.K,
            f"must be {len(tasks)}, as many as the tasks",
            "use spec_of(tasks, ...)",
        )
    S, seen = input_slots(spec), {}
    for i, task in enumerate(listed(tasks, kind)):
        table = getattr(task, tables)
        if table.shape != shape:
            raise checks.refuse(
                f"tasks[{i}].{tables}",
                f"an array of shape {table.shape}",
                f"must have shape {shape}, as the Spec has L and d",
                f"use spec_of(tasks, ...), with {tables} of one shape",
            )
        if task.slot >= S:
            raise checks.refuse(
                f"tasks[{i}].slot",
                task.slot,
                f"must be an input slot, 0..{S - 1}",
                "move the task or raise S",
            )
        key = (task.slot, (table + 0).tobytes())  # -0.0 and 0.0 are the same number
        if key in seen:
            raise checks.refuse(
                f"tasks[{i}]",
                f"equal to tasks[{seen[key]}]",
                f"must differ in slot or {tables}",
                "remove one of the two",
            )
        seen[key] = i


def check_plain(spec: Spec, feature_map: Any) -> None:
    """Refuse features and a sum slot."""
    for name, value in (
        ("features", spec.features or feature_map is not None),
        ("sum_slot", spec.sum_slot),
    ):
        if value:
            raise checks.refuse(
                name,
                value,
                "Theorem 4's tasks read the inputs themselves",
                "leave it out, or use Theorem 1",
            )
