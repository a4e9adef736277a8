"""Check of Lemma 7: the answer token holds the superposition weighted by prevalence."""

import numpy as np
from jaxtyping import Bool

from verify.ideal import Ideal, Stream, flag

WRITES = ("y",)
# The scores are folded so that the winner, if it is not BOS, scores exactly 0.
FOLDED = True


def concerned(stream: Stream) -> Bool[np.ndarray, "N"]:
    """The answer token: every other token has no loser near."""
    return flag(stream, "qry") & ~flag(stream, "inp")


def expect(ideal: Ideal) -> None:
    """What Superpose must leave behind."""
    ideal.answer("y")[:] = ideal.verdict.vector
