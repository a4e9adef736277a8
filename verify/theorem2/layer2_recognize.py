"""Check of Lemma 2: the input that a task explains holds the task's output on the query, and ok =
1."""

import numpy as np
from jaxtyping import Bool

from verify.ideal import Ideal, Stream, flag

WRITES = ("y", "ok")
FOLDED = False


def concerned(stream: Stream) -> Bool[np.ndarray, "N"]:
    """Example inputs: every other token has no loser near."""
    return flag(stream, "inp") & ~flag(stream, "qry")


def expect(ideal: Ideal) -> None:
    """What Recognize must leave behind."""
    examples, slots = ideal.committed()
    verdict = ideal.verdict
    ideal.inputs("y")[examples, slots] = verdict.outputs[verdict.recognized[examples]]
    ideal.inputs("ok")[examples, slots] = 1
