"""Check of Lemma 7: the answer token holds the superposition weighted by prevalence."""

from verify.theorem1.ideal import Ideal

WRITES = ("y",)


def expect(ideal: Ideal) -> None:
    """What Superpose must leave behind."""
    ideal.answer("y")[:] = ideal.verdict.vector
