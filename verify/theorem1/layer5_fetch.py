"""Check of Lemma 5: a label committed to task i holds the query's features from slot p_i."""

import numpy as np
from jaxtyping import Bool

from verify.ideal import Ideal, Stream, flag

WRITES = ("x", "f")
# The scores are folded so that the winner, if it is not BOS, scores exactly 0.
FOLDED = True


def concerned(stream: Stream) -> Bool[np.ndarray, "N"]:
    """Committed labels: every other token has no loser near."""
    return flag(stream, "lab") & flag(stream, "ok")


def expect(ideal: Ideal) -> None:
    """What Fetch must leave behind."""
    committed, slots = ideal.committed()
    ideal.labels("f")[committed] = ideal.verdict.query_features[slots]
