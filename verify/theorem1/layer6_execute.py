"""Check of Lemma 6: a label committed to task i holds the task's output on the query."""

import numpy as np
from jaxtyping import Bool

from verify.ideal import Ideal, Stream, flag

WRITES = ("y",)
# The scores are folded so that the winner, if it is not BOS, scores exactly 0.
FOLDED = True


def concerned(stream: Stream) -> Bool[np.ndarray, "N"]:
    """Committed labels: every other token has no loser near."""
    return flag(stream, "lab") & flag(stream, "ok")


def expect(ideal: Ideal) -> None:
    """What Execute must leave behind."""
    committed, _ = ideal.committed()
    verdict = ideal.verdict
    ideal.labels("y")[committed] = verdict.outputs[verdict.recognized[committed]]
