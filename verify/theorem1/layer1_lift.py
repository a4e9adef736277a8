"""Check of Lemma 1: a sum slot holds the sum of its example's other inputs, an input token its
features."""

import numpy as np
from jaxtyping import Bool

from verify.ideal import Ideal, Stream, flag

WRITES = ("x", "f")
FOLDED = False


def concerned(stream: Stream) -> Bool[np.ndarray, "N"]:
    """Sum slots: every other token has no loser near."""
    return flag(stream, "sum")


def expect(ideal: Ideal) -> None:
    """What Lift must leave behind."""
    verdict = ideal.verdict
    ideal.inputs("x")[:] = verdict.inputs
    ideal.query_inputs("x")[:] = verdict.query
    ideal.inputs("f")[:] = verdict.features
    ideal.query_inputs("f")[:] = verdict.query_features
