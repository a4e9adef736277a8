"""Check of Lemma 1: every example input holds its label and the query's content in its own slot,
and the features of both."""

import numpy as np
from jaxtyping import Bool

from verify.ideal import Ideal, Stream, flag

WRITES = ("y", "q", "f", "h")
FOLDED = False


def concerned(stream: Stream) -> Bool[np.ndarray, "N"]:
    """Example inputs: every other token has no loser near."""
    return flag(stream, "inp") & ~flag(stream, "qry")


def expect(ideal: Ideal) -> None:
    """What Pair must leave behind."""
    verdict = ideal.verdict
    ideal.inputs("y")[:] = ideal.labels("y")[:, None]
    ideal.inputs("q")[:] = verdict.query
    if "h" in ideal.stream:
        ideal.inputs("f")[:] = verdict.features
        ideal.query_inputs("f")[:] = verdict.query_features
        ideal.inputs("h")[:] = verdict.query_features
