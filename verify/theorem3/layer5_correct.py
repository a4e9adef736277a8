"""Check of Lemma 5: the answer token holds the superposition weighted by prevalence."""

from verify.theorem1.layer7_superpose import concerned, expect

__all__ = ["FOLDED", "WRITES", "concerned", "expect"]

WRITES = ("y",)
# BOS scores 0 at the answer token, and the gate's other winner its slope times w - 1/2.
FOLDED = True
