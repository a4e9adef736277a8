"""What is read of Theorem 2's transformer, and how it is decoded: an example with two explanations
is refused."""

from typing import cast

import numpy as np
from jaxtyping import Float, Int

from construct import checks
from construct.answer import ABSTAINED
from construct.layers import Stack
from construct.readout import Readings, Readout, check_decided, check_output_norms, residual_slack
from construct.roles import INPUT
from construct.theorem2.gains import Gains


def decode(
    stack: Stack,
    labels: Float[np.ndarray, "m d"],
    name: str,
    readings: Readings,
    enforce: bool,
    first: int,
) -> Int[np.ndarray, "m"]:
    """The task of each example: it explains the example iff its head scores the example's input
    above BOS."""
    spec, gains = stack.spec, cast(Gains, stack.gains)
    gap = readings.gap[:, : len(labels)]
    if enforce:
        check_output_norms(spec, len(labels), name, readings.output_norm, gains.residual, first)
        check_decided(spec, gains, name, gap, first)
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


READOUT = Readout(
    theorem=2,
    layer="recognize",
    asks=INPUT,
    term="residual",
    less="y",
    codes=None,
    features=(INPUT, "h"),
    decode=decode,
    norm_slack=residual_slack,
    always=True,
)
