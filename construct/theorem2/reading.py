"""What is read off Theorem 2's transformer, and how it is decoded: an example with two explanations
is refused."""

import numpy as np
from jaxtyping import Array, Float, Int

from construct import checks
from construct.answer import ABSTAINED
from construct.reading import (
    Outputs,
    Parts,
    Readings,
    check_decided,
    check_output_norms,
    gap_at_slots,
    own_recognition,
)
from construct.residual import Residual
from construct.restricted.attention import Scores, Tokens
from construct.restricted.program import INPUTS
from construct.spec import Spec
from construct.theorem2.gains import Gains
from construct.transformer import Layer


def observe(
    layer: Layer, before: Array, after: Array, slots: Array, residual: Residual, examples: int
) -> dict[str, Array]:
    """Recognize's gaps and output norms."""
    return (
        own_recognition(layer, before, slots, residual, examples)
        if layer.name == "recognize"
        else {}
    )


def survey(
    layer: str, tokens: str, after: Tokens, scores: list[list[Scores]], slots: Array
) -> dict[str, Array]:
    """The same of the restricted evaluator, examples last."""
    return {"gap": gap_at_slots(scores, slots)} if (layer, tokens) == ("recognize", INPUTS) else {}


def decode(
    gains: Gains,
    spec: Spec,
    labels: Float[np.ndarray, "m d"],
    name: str,
    readings: Readings,
    enforce: bool,
    first: int,
) -> Int[np.ndarray, "m"]:
    """The task of each example: it explains the example iff its head scores the example's input
    above BOS."""
    gap = readings.gap[:, : len(labels)]
    if enforce:
        check_output_norms(spec, len(labels), name, readings.output_norm, gains.residual, first)
        check_decided(spec, name, gap, gains, first)
        _check_unambiguous(name, gap > 0, first)
    return np.where((gap > 0).sum(0) == 1, gap.argmax(0), ABSTAINED)


def _check_unambiguous(name: str, explains: np.ndarray, first: int) -> None:
    twice = np.flatnonzero(explains.sum(0) > 1)
    if twice.size:
        example = int(twice[0])
        tasks = ", ".join(str(int(i)) for i in np.flatnonzero(explains[:, example])[:8])
        raise checks.refuse(
            f"{name} example {first + example}",
            f"explained by tasks {tasks}",
            "must have at most one explanation (Theorem 2)",
            "drop it, or use Theorem 1, which abstains on it",
        )


THEOREM2 = Parts(
    observe,
    survey,
    decode,
    lambda gains, spec: gains.residual,
    Outputs("recognize", "residual", "y"),
    always=True,
)
