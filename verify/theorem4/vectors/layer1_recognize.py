"""Check of Lemma 1 on vectors: arrows and vectors hold their line's inputs, vectors how much each
task agrees."""

from verify.theorem4.layer1_recognize import WINNERS_SCORE_0, WRITES, asks
from verify.theorem4.vectors.lines import VectorLines


def expect(ideal: VectorLines) -> None:
    """What Recognize must leave behind."""
    read = sorted({task.slot for task in ideal.tasks})
    for first, inputs, words in ideal.lines():
        for u in range(words + 1):
            token = first + ideal.S + u
            own = ideal.own(token)
            for slot in read:
                own[slot] = ideal.exact(inputs[slot])
            if u and not ideal.soft(token):
                said = ideal.exact(ideal.stream["x"][token])
                ideal.stream["w"][token] = [
                    said @ (ideal.exact(task.matrices[u - 1]) @ own[task.slot])
                    for task in ideal.tasks
                ]


__all__ = ["WINNERS_SCORE_0", "WRITES", "asks", "expect"]
