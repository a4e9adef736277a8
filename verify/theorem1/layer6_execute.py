"""Check of Lemma 6: a label committed to task i holds the task's output on the query."""

from verify.ideal import Ideal, committed_labels

WRITES = ("y",)
# The winner's score cancels to exactly 0, unless it is BOS.
WINNERS_SCORE_0 = True
asks = committed_labels


def expect(ideal: Ideal) -> None:
    """What Execute must leave behind."""
    committed, _ = ideal.committed()
    verdict = ideal.verdict
    ideal.labels("y")[committed] = verdict.outputs[verdict.recognized[committed]]
