"""Check of Lemma 1: a label holds the tasks that explain its example, their number, and ok."""

from verify.ideal import Ideal, labels

WRITES = ("w", "count", "ok")
WINNERS_SCORE_0 = False
asks = labels


def expect(ideal: Ideal) -> None:
    """What Recognize must leave behind."""
    explains = ideal.verdict.explains.T
    ideal.labels("w")[:] = explains
    ideal.labels("count")[:] = explains.sum(1, keepdims=True)
    ideal.labels("ok")[:] = ideal.labels("count") == 1
