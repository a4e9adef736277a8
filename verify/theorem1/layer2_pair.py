"""Check of Lemma 2: every example input holds its example's label."""

import numpy as np
from jaxtyping import Bool

from verify.ideal import Ideal, Stream, flag

WRITES = ("y",)
FOLDED = False


def concerned(stream: Stream) -> Bool[np.ndarray, "N"]:
    """Example inputs: every other token has no loser near."""
    return flag(stream, "inp") & ~flag(stream, "qry")


def expect(ideal: Ideal) -> None:
    """What Pair must leave behind."""
    ideal.inputs("y")[:] = ideal.labels("y")[:, None]
