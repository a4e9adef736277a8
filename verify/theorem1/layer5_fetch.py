"""Check of Lemma 5: a label committed to task i holds the query's features from slot p_i."""

from verify.ideal import Ideal, committed_labels

WRITES = ("x", "f")
# The winner's score cancels to exactly 0, unless it is BOS.
WINNERS_SCORE_0 = True
asks = committed_labels


def expect(ideal: Ideal) -> None:
    """What Fetch must leave behind."""
    committed, slots = ideal.committed()
    ideal.labels("f")[committed] = ideal.verdict.query_features[slots]
