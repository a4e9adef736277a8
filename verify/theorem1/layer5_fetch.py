"""Check of Lemma 5: a label committed to task i holds the query's features from slot p_i."""

from verify.theorem1.ideal import Ideal

WRITES = ("x", "f")


def expect(ideal: Ideal) -> None:
    """What Fetch must leave behind."""
    committed, slots = ideal.committed()
    ideal.labels("f")[committed] = ideal.verdict.query_features[slots]
