"""Check of Lemma 3: the answer token holds the superposition weighted by prevalence."""

from verify.theorem1.layer7_superpose import concerned, expect

__all__ = ["FOLDED", "WRITES", "concerned", "expect"]

WRITES = ("y",)
# The winners score 0 as nearly as ok is 1, which is their spread.
FOLDED = True
