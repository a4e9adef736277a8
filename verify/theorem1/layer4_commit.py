"""Check of Lemma 4: a label holds the codes and the number of the tasks that explain its example;
ok says whether it is one."""

from verify.ideal import Ideal, labels

WRITES = ("z", "count", "ok")
WINNERS_SCORE_0 = False
asks = labels


def expect(ideal: Ideal) -> None:
    """What Commit must leave behind."""
    for name in ("z", "count"):
        ideal.labels(name)[:] = ideal.inputs(name).sum(1)
    for tokens in (ideal.inputs, ideal.labels):
        tokens("ok")[:] = tokens("count") == 1
