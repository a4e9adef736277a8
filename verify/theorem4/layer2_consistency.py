"""Check of Lemma 2: arrows and words hold the mean of w over their line so far, and which tasks
have said all of it."""

from fractions import Fraction

import numpy as np
from jaxtyping import Bool

from verify.ideal import Stream
from verify.theorem4.lines import Lines, answers

WRITES = ("g", "c")
WINNERS_SCORE_0 = False


def asks(stream: Stream) -> Bool[np.ndarray, "N"]:
    """Arrows and words."""
    return answers(stream, 0)


def expect(ideal: Lines) -> None:
    """What Consistency must leave behind."""
    for first, inputs, words in ideal.lines():
        hits = np.ones(len(ideal.tasks), int)
        for u in range(words + 1):
            token = first + ideal.S + u
            if u:
                hits += ideal.matches(token, u, inputs)
            ideal.stream["g"][token] = [ideal.number(Fraction(int(hit), u + 1)) for hit in hits]
            ideal.stream["c"][token] = hits == u + 1
