"""Check of Lemma 2 on vectors: arrows and vectors hold the mean agreement over their line so
far."""

from fractions import Fraction

from verify.theorem4.layer2_consistency import WINNERS_SCORE_0, asks
from verify.theorem4.vectors.lines import VectorLines

WRITES = ("g",)


def expect(ideal: VectorLines) -> None:
    """What Consistency must leave behind."""
    for first, _, words in ideal.lines():
        total = [ideal.number(Fraction(1))] * len(ideal.tasks)
        for u in range(words + 1):
            token = first + ideal.S + u
            if u:
                more = [1] * len(total) if ideal.soft(token) else ideal.stream["w"][token]
                total = [a + b for a, b in zip(total, more, strict=True)]
            ideal.stream["g"][token] = [one / (u + 1) for one in total]


__all__ = ["WINNERS_SCORE_0", "WRITES", "asks", "expect"]
