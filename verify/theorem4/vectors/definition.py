"""The definition on vectors: what Theorem 4 says of a prompt of unit vectors.

It shares no code with the layers: it never sees a weight of the transformer, only the tasks'
matrices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from construct import Spec, checks
from construct.vectors import VectorPrompt, VectorTask
from verify.theorem4.definition import ABSTAINED


def residuals(
    task: VectorTask, inputs: Float[np.ndarray, "S d"], said: Float[np.ndarray, "t d"]
) -> Float[np.ndarray, "t"]:
    """How far the first 1, 2, ..., t vectors of a line are from those that a task says, taken
    together."""
    own = task.matrices[: len(said)] @ inputs[task.slot]
    return np.sqrt(np.cumsum(((said - own) ** 2).sum(1)))


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the definition says of a prompt.

    agrees (K, m', L): whether a task says the first 1..L vectors of an example. recognized (m'):
    the only task that says all of them, else -1. prefix_agrees (K, t): whether a task says the
    first 1..t vectors of the prefix. outputs (K, d): each task's next vector."""

    agrees: Bool[np.ndarray, "K m L"]
    recognized: Int[np.ndarray, "m"]
    prefix_agrees: Bool[np.ndarray, "K t"]
    outputs: Float[np.ndarray, "K d"]
    fallback: bool

    @property
    def explains(self) -> Bool[np.ndarray, "K m"]:
        """Which tasks explain which example."""
        return self.agrees[:, :, -1]

    @property
    def follows(self) -> Bool[np.ndarray, "K"]:
        """Which tasks have said all vectors of the prefix."""
        return np.asarray(self.prefix_agrees.all(axis=1))

    @cached_property
    def counts(self) -> Int[np.ndarray, "K"]:
        """m_i, the examples that count for each task."""
        return np.array([(self.recognized == i).sum() for i in range(len(self.outputs))])

    @cached_property
    def prevalence(self) -> Float[np.ndarray, "K"]:
        """The posterior: m_i over the sum of those that follow; with no such task 0, or the
        prior."""
        kept = np.where(self.follows, self.counts, 0)
        if not kept.any() and self.fallback:
            kept = self.counts
        return kept / max(kept.sum(), 1)

    @property
    def vector(self) -> Float[np.ndarray, "d"]:
        """The mean of the next vectors over the posterior."""
        return self.prevalence @ self.outputs


def judge(
    spec: Spec, tasks: Sequence[VectorTask], prompt: VectorPrompt, feature_map: Any = None
) -> Verdict:
    """The verdict on a prompt. Raises ValueError where a task neither says the first vectors of a
    line, up to the tolerance, nor misses them by the margin."""
    agrees = np.zeros((len(tasks), prompt.examples, spec.L), bool)
    told = np.ones((len(tasks), len(prompt.prefix)), bool)
    for i, task in enumerate(tasks):
        for j in range(prompt.examples):
            missed = residuals(task, prompt.inputs[j], prompt.answers[j])
            agrees[i, j] = _decided(spec, missed, f"example {j}, task {i}")
        if not prompt.soft:
            missed = residuals(task, prompt.query, prompt.prefix)
            told[i] = _decided(spec, missed, f"prefix, task {i}")
    recognized = np.full(prompt.examples, ABSTAINED)
    alone = agrees[:, :, -1].sum(0) == 1
    recognized[alone] = agrees[:, alone, -1].argmax(0)
    place = len(prompt.prefix)
    outputs = np.array([task.matrices[place] @ prompt.query[task.slot] for task in tasks])
    return Verdict(agrees, recognized, told, outputs, spec.fallback)


def check_answers(spec: Spec, tasks: Sequence[VectorTask], query: Float[np.ndarray, "S d"]) -> None:
    """Refuse a query about which two tasks say vectors that are neither the same, up to the
    tolerance, nor the margin apart: after one of them it would be undecided who follows."""
    for i, task in enumerate(tasks):
        said = task.matrices @ query[task.slot]
        for k, other in enumerate(tasks):
            _decided(spec, residuals(other, query, said), f"query, tasks {i} and {k}")


def _decided(spec: Spec, missed: Float[np.ndarray, "t"], where: str) -> Bool[np.ndarray, "t"]:
    # What rounding could turn is refused, so that what is decided is so for real numbers too.
    slack = 4 * (spec.L * spec.d + 4) * np.finfo(float).eps * (1 + missed)
    between = (missed > spec.tolerance - slack) & (missed < spec.margin + slack)
    if between.any():
        t = int(between.argmax())
        raise checks.refuse(
            f"{where}, vectors 1 to {t + 1}",
            f"a residual of {missed[t]:.6g}",
            f"must be at most tolerance = {spec.tolerance:.6g} or at least margin = "
            f"{spec.margin:.6g}",
            "move the answer, or build with a tolerance and margin that leave it outside",
        )
    return missed <= spec.tolerance
