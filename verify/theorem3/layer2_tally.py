"""Check of Lemma 2: the answer token holds the prevalence of each task."""

from verify.ideal import Ideal
from verify.theorem1.layer7_superpose import FOLDED, concerned

__all__ = ["FOLDED", "WRITES", "concerned", "expect"]

WRITES = ("w",)


def expect(ideal: Ideal) -> None:
    """What Tally must leave behind."""
    ideal.answer("w")[:] = ideal.verdict.prevalence
