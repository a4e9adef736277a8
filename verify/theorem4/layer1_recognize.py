"""Check of Lemma 1: arrows and words hold their line's inputs, words the tasks that say them."""

import numpy as np
from jaxtyping import Bool

from verify.ideal import Stream
from verify.theorem4.lines import Lines, answers

WRITES = ("own", "w")
WINNERS_SCORE_0 = False


def asks(stream: Stream) -> Bool[np.ndarray, "N"]:
    """Arrows and words."""
    return answers(stream, 0)


def expect(ideal: Lines) -> None:
    """What Recognize must leave behind."""
    d = ideal.spec.d
    for first, inputs, words in ideal.lines():
        for u in range(words + 1):
            token = first + ideal.S + u
            for slot in {task.slot for task in ideal.tasks}:
                if inputs[slot] >= 0:
                    ideal.stream["own"][token, slot * d + inputs[slot]] = 1
            if u:
                ideal.stream["w"][token] = ideal.matches(token, u, inputs)
