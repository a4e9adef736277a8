"""Check of Lemma 4: a label holds the codes and the number of the tasks that explain its example;
ok says whether it is one."""

import numpy as np
from jaxtyping import Bool

from verify.ideal import Ideal, Stream, flag

WRITES = ("z", "count", "ok")
FOLDED = False


def concerned(stream: Stream) -> Bool[np.ndarray, "N"]:
    """Labels: every other token has no loser near."""
    return flag(stream, "lab")


def expect(ideal: Ideal) -> None:
    """What Commit must leave behind."""
    for name in ("z", "count"):
        ideal.labels(name)[:] = ideal.inputs(name).sum(1)
    for tokens in (ideal.inputs, ideal.labels):
        tokens("ok")[:] = tokens("count") == 1
