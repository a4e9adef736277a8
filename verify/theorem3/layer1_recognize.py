"""Check of Lemma 1: a label holds the tasks that explain its example, their number, and ok."""

import numpy as np
from jaxtyping import Bool

from verify.ideal import Ideal, Stream, flag

WRITES = ("w", "count", "ok")
FOLDED = False


def concerned(stream: Stream) -> Bool[np.ndarray, "N"]:
    """Labels: every other token has no loser near."""
    return flag(stream, "lab")


def expect(ideal: Ideal) -> None:
    """What Recognize must leave behind."""
    explains = ideal.verdict.explains.T
    ideal.labels("w")[:] = explains
    ideal.labels("count")[:] = explains.sum(1, keepdims=True)
    ideal.labels("ok")[:] = ideal.labels("count") == 1
