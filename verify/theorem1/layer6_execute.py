"""Check of Lemma 6: a label committed to task i holds the task's output on the query."""

from verify.theorem1.ideal import Ideal

WRITES = ("y",)


def expect(ideal: Ideal) -> None:
    """What Execute must leave behind."""
    committed, _ = ideal.committed()
    verdict = ideal.verdict
    ideal.labels("y")[committed] = verdict.outputs[verdict.recognized[committed]]
