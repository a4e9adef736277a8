"""What is read of Theorem 4's transformer: at the last word of an example its task, at the last
token the posterior over tasks and the distribution of the next word."""

import numpy as np
from jaxtyping import Int

from construct.answer import ABSTAINED
from construct.layers import Stack
from construct.lines import WORDS
from construct.readout import Readings, Readout


def decode(
    stack: Stack,
    labels: Int[np.ndarray, "m L"],
    name: str,
    readings: Readings,
    enforce: bool,
    first: int,
) -> Int[np.ndarray, "m"]:
    """The task of each example, off its last word's c and ok after Commit. Nothing is left to
    enforce: what the theorem assumes of a prompt shows in the prompt itself."""
    code = readings.code[: len(labels)]
    # A code that is not a number says nothing.
    said = (readings.ok[: len(labels)] > 0.5) & ~np.isnan(code).any(1)
    return np.where(said, np.nan_to_num(code).argmax(1), ABSTAINED)


READOUT = Readout(
    theorem=4,
    decode=decode,
    codes=("commit", "c"),
    posterior=("posterior", "omega"),
    layout=WORDS,
    evaluators=("dense",),
)
