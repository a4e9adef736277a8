"""Check of Lemma 4: every arrow and word but the last holds the posterior over tasks and the
distribution of its next word, from the examples before it."""

from fractions import Fraction

import numpy as np
from jaxtyping import Bool

from verify.ideal import Stream
from verify.theorem4.definition import says
from verify.theorem4.lines import Lines, answers

WRITES = ("omega", "y")
# The examples of a task that follows score 0.
WINNERS_SCORE_0 = True


def asks(stream: Stream) -> Bool[np.ndarray, "N"]:
    """Arrows and words but the last of a line."""
    L = sum(name[0] == "a" and name[1:].isdigit() for name in stream) - 1
    return answers(stream, 0, L - 1)


def expect(ideal: Lines) -> None:
    """What Posterior must leave behind."""
    counts = [0] * len(ideal.tasks)
    for j, (first, inputs, words) in enumerate(ideal.lines()):
        follows = [True] * len(ideal.tasks)
        for u in range(min(words, ideal.spec.L - 1) + 1):
            token = first + ideal.S + u
            if u:
                matches = ideal.matches(token, u, inputs)
                follows = [a and b for a, b in zip(follows, matches, strict=True)]
            _predict(ideal, token, u, inputs, counts, follows)
        if j < ideal.prompt.examples:
            task = int(ideal.verdict.recognized[j])
            counts = [m + (i == task) for i, m in enumerate(counts)]


def _predict(
    ideal: Lines, token: int, u: int, inputs: list[int], counts: list[int], follows: list[bool]
) -> None:
    kept = [m if follow else 0 for m, follow in zip(counts, follows, strict=True)]
    if not any(kept) and ideal.spec.fallback:
        kept = counts
    for i, (task, m) in enumerate(zip(ideal.tasks, kept, strict=True)):
        if not m:
            continue
        weight = ideal.number(Fraction(m, sum(kept)))
        ideal.stream["omega"][token, i] = weight
        word = says(task, u, inputs)
        if word is not None:
            ideal.stream["y"][token, word] = ideal.stream["y"][token, word] + weight
