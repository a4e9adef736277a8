"""Check of Lemma 3: the last word of an example has ok = 1 exactly where one task explains it."""

import numpy as np
from jaxtyping import Bool

from verify.ideal import Stream
from verify.theorem4.lines import Lines

WRITES = ("ok",)
WINNERS_SCORE_0 = False


def asks(stream: Stream) -> Bool[np.ndarray, "N"]:
    """No token: all heads are idle."""
    return np.zeros(len(stream["one"]), bool)


def expect(ideal: Lines) -> None:
    """What Commit must leave behind."""
    for j, first in enumerate(ideal.rows[:-1]):
        last = first + ideal.S + ideal.spec.L
        ideal.stream["ok"][last] = ideal.verdict.explains[:, j].sum() == 1
