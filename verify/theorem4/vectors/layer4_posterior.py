"""Check of Lemma 4 on vectors: every arrow and vector but the last holds the posterior over tasks
and the mean of their next vectors, from the examples before it."""

from fractions import Fraction

from verify.theorem4.layer4_posterior import WINNERS_SCORE_0, WRITES, asks
from verify.theorem4.vectors.layer3_commit import says_so_far
from verify.theorem4.vectors.lines import VectorLines


def expect(ideal: VectorLines) -> None:
    """What Posterior must leave behind."""
    counts = [0] * len(ideal.tasks)
    for j, (first, _, words) in enumerate(ideal.lines()):
        for u in range(min(words, ideal.spec.L - 1) + 1):
            says = says_so_far(ideal, j, u).tolist()
            _predict(ideal, first + ideal.S + u, u, counts, says)
        if j < ideal.prompt.examples:
            task = int(ideal.verdict.recognized[j])
            counts = [m + (i == task) for i, m in enumerate(counts)]


def _predict(ideal: VectorLines, token: int, u: int, counts: list[int], follows: list[int]) -> None:
    kept = [m * follow for m, follow in zip(counts, follows, strict=True)]
    if not any(kept) and ideal.spec.fallback:
        kept = counts
    own = ideal.own(token)
    for i, (task, m) in enumerate(zip(ideal.tasks, kept, strict=True)):
        if m:
            weight = ideal.number(Fraction(m, sum(kept)))
            ideal.stream["omega"][token, i] = weight
            said = ideal.exact(task.matrices[u]) @ own[task.slot]
            ideal.stream["y"][token] = ideal.stream["y"][token] + weight * said


__all__ = ["WINNERS_SCORE_0", "WRITES", "asks", "expect"]
