"""Check of Lemma 3 on vectors: arrows and vectors hold which tasks say all of their line so far,
and the last vector of an example ok = 1 exactly where one task explains it."""

import numpy as np

from verify.theorem4.layer2_consistency import asks
from verify.theorem4.vectors.lines import VectorLines

WRITES = ("said", "c", "ok")
WINNERS_SCORE_0 = False


def expect(ideal: VectorLines) -> None:
    """What Commit must leave behind."""
    for j, (first, _, words) in enumerate(ideal.lines()):
        for u in range(words + 1):
            token = first + ideal.S + u
            says = says_so_far(ideal, j, u)
            ideal.stream["said"][token] = ideal.stream["c"][token] = says
        if j < ideal.prompt.examples:
            last = first + ideal.S + ideal.spec.L
            ideal.stream["ok"][last] = ideal.verdict.explains[:, j].sum() == 1


def says_so_far(ideal: VectorLines, line: int, said: int) -> np.ndarray:
    """Which tasks say the first vectors of a line."""
    if not said:
        return np.ones(len(ideal.tasks), int)
    if line < ideal.prompt.examples:
        return ideal.verdict.agrees[:, line, said - 1].astype(int)
    return ideal.verdict.prefix_agrees[:, said - 1].astype(int)


__all__ = ["WINNERS_SCORE_0", "WRITES", "asks", "expect"]
