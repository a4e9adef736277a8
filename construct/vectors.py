"""Tasks and prompts of unit vectors, for Theorem 4's second version: a task answers with L vectors
of norm 1, one after the other.

A *line* is S input vectors, an arrow and L answer vectors; a prompt is m' lines, the examples, and
a last one that is not finished, the query. A task's *residual* on a line is the norm of all its
answer vectors so far together, less those of the task: it explains the line if that is at most the
tolerance rho, and does not if it is at least the margin delta.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from construct import checks
from construct.floats import unit_roundoff
from construct.spec import Spec
from construct.words import input_slots


@dataclass(frozen=True, eq=False)
class VectorTask:
    """A task that answers with L vectors: matrices[t] @ x is the one that it says in place t about
    the input x in its slot.

    Shapes: slot p in 0..S-1; matrices (L, d, d), orthogonal, so that a unit vector's answers are
    unit vectors. Raises ValueError when the shapes disagree, a value is not finite, or the slot is
    negative; how orthogonal they must be depends on the Spec."""

    slot: int
    matrices: Float[np.ndarray, "L d d"]

    def __post_init__(self) -> None:
        slot = checks.integer("VectorTask.slot", self.slot, 0, "slots count from 0 to S-1")
        matrices = checks.floats("VectorTask.matrices", self.matrices, ("L", "d", "d"))
        if min(matrices.shape) < 1 or matrices.shape[1] != matrices.shape[2]:
            raise checks.refuse(
                "VectorTask.matrices",
                f"an array of shape {matrices.shape}",
                "must have shape (L, d, d) with L, d >= 1",
                "pass a square matrix for every answer vector",
            )
        object.__setattr__(self, "slot", slot)
        object.__setattr__(self, "matrices", matrices)

    @property
    def weight_norm(self) -> float:
        """The largest spectral norm of a matrix."""
        return float(max(np.linalg.norm(matrix, 2) for matrix in self.matrices))

    @property
    def skew(self) -> float:
        """How far a squared norm can be from 1 after a matrix: the largest spectral norm of
        W^T W - I."""
        eye = np.eye(self.matrices.shape[1])
        return float(max(np.linalg.norm(W.T @ W - eye, 2) for W in self.matrices))


@dataclass(frozen=True, eq=False)
class VectorPrompt:
    """m' examples, a query and what has been said of its answer so far.

    Shapes: inputs (m', S, d), answers (m', L, d), query (S, d), of unit vectors. prefix (t, d), 0
    <= t < L: unit vectors; or, with `soft`, the mixtures that superposed decoding feeds back, which
    carry a flag and rule no task out. Raises ValueError when shapes disagree or there is no
    example."""

    inputs: Float[np.ndarray, "m S d"]
    answers: Float[np.ndarray, "m L d"]
    query: Float[np.ndarray, "S d"]
    prefix: Any = ()
    soft: bool = False

    def __post_init__(self) -> None:
        inputs = checks.floats("inputs", self.inputs, ("m", "S", "d"))
        answers = checks.floats("answers", self.answers, ("m", "L", "d"))
        query = checks.floats("query", self.query, ("S", "d"))
        if min(inputs.shape) < 1 or answers.shape[1] < 1:
            raise checks.refuse(
                "inputs, answers",
                f"arrays of shapes {inputs.shape} and {answers.shape}",
                "a prompt needs an example, of an input and an answer vector at least",
                "pass m' >= 1 examples",
            )
        d = inputs.shape[2]
        checks.shape("answers", answers, (len(inputs), answers.shape[1], d), "(m', L, d), as many")
        checks.shape("query", query, inputs.shape[1:], "(S, d) of these inputs")
        prefix = np.zeros((0, d)) if len(self.prefix) == 0 else self.prefix
        prefix = checks.floats("prefix", prefix, ("t", "d"))
        checks.shape("prefix", prefix, (len(prefix), d), "(t, d)")
        for name, value in (
            ("inputs", inputs),
            ("answers", answers),
            ("query", query),
            ("prefix", prefix),
            ("soft", bool(self.soft)),
        ):
            object.__setattr__(self, name, value)

    @property
    def examples(self) -> int:
        """The number of examples m'."""
        return len(self.inputs)

    @property
    def labels(self) -> Float[np.ndarray, "m L d"]:
        """The answers, by the name that every kind of prompt has for what decides an example."""
        return self.answers

    @property
    def tokens(self) -> int:
        """The number of tokens N = 1 + m' (S + 1 + L) + S + 1 + t."""
        S, L = self.inputs.shape[1], self.answers.shape[1]
        return 1 + self.examples * (S + 1 + L) + S + 1 + len(self.prefix)

    def after(self, prefix: Any, soft: bool = False) -> "VectorPrompt":
        """The same prompt with other vectors said so far."""
        return VectorPrompt(self.inputs, self.answers, self.query, prefix, soft)


def norm_tolerance(spec: Spec) -> float:
    """How far the squared norm of a vector that is said, and of one that a task would say, can be
    from 1: a sixteenth of (delta^2 - rho^2)/L. Over a line both take a quarter of delta^2 - rho^2,
    at either end of it an eighth."""
    return (spec.margin**2 - spec.tolerance**2) / (16 * spec.L)


def input_tolerance(spec: Spec) -> float:
    """How far the squared norm of an input, and of what a matrix makes of a unit vector, can be
    from 1: with both a third of `norm_tolerance` off, their product is within all of it."""
    return norm_tolerance(spec) / 3


def check_vectors(spec: Spec, prompt: Any, name: str, input_radius: float) -> None:
    """Refuse a prompt that does not fit the Spec: its shapes, more than m examples, a finished
    answer, or a vector that is no unit vector."""
    if not isinstance(prompt, VectorPrompt):
        raise checks.refuse(
            name,
            f"a {type(prompt).__name__}",
            "must be a VectorPrompt",
            "a call takes a VectorPrompt or a list of them, a trace one",
        )
    S, d = input_slots(spec), spec.d
    checks.shape(f"{name}.inputs", prompt.inputs, (prompt.examples, S, d), "(m', n - 1 - L, d)")
    checks.shape(f"{name}.answers", prompt.answers, (prompt.examples, spec.L, d), "(m', L, d)")
    if prompt.examples > spec.m:
        raise checks.refuse(
            f"{name}.inputs",
            f"{prompt.examples} examples",
            f"must have at most m = {spec.m}",
            "drop some or build with a larger m",
        )
    if len(prompt.prefix) >= spec.L:
        raise checks.refuse(
            f"{name}.prefix",
            f"{len(prompt.prefix)} vectors",
            f"must have fewer than L = {spec.L}: after these the answer is finished",
            "ask for the next vector of a shorter prefix",
        )
    # A vector that is rounded to the dtype is a unit vector still.
    slack = 4 * (d + 2) * unit_roundoff(spec.dtype)
    parts = [("inputs", input_tolerance(spec)), ("query", input_tolerance(spec))]
    parts += [("answers", norm_tolerance(spec))]
    if not prompt.soft:
        parts += [("prefix", norm_tolerance(spec))]
    for part, tolerance in parts:
        _check_norms(f"{name}.{part}", getattr(prompt, part), tolerance + slack)
    if prompt.soft:
        _check_mixture(f"{name}.prefix", prompt.prefix, 1 + norm_tolerance(spec) + slack)


def _check_norms(name: str, vectors: np.ndarray, tolerance: float) -> None:
    off = np.abs((vectors**2).sum(-1) - 1)
    if off.size and off.max() > tolerance:
        where = [int(i) for i in np.unravel_index(off.argmax(), off.shape)]
        raise checks.refuse(
            f"{name}{where}",
            f"a vector of norm {np.linalg.norm(vectors[tuple(where)]):.6g}",
            f"its square must be within {tolerance:.3g} of 1 (Theorem 4 on vectors)",
            "rescale it to norm 1",
        )


def _check_mixture(name: str, vectors: np.ndarray, most: float) -> None:
    longest = (vectors**2).sum(-1)
    if longest.size and longest.max() > most:
        t = int(longest.argmax())
        raise checks.refuse(
            f"{name}[{t}]",
            f"a vector of norm {math.sqrt(longest[t]):.6g}",
            "a mixture of unit vectors is no longer than 1",
            "feed back what the model said",
        )
