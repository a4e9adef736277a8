"""Check of Lemma 5: the answer token holds the superposition weighted by prevalence."""

from verify.theorem1.layer7_superpose import concerned, expect

__all__ = ["FOLDED", "WRITES", "concerned", "expect"]

WRITES = ("y",)
# The two winners of a gate are its slope times |w - 1/2| apart.
FOLDED = False
