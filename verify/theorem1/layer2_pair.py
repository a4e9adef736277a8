"""Check of Lemma 2: every example input holds its example's label."""

from verify.theorem1.ideal import Ideal

WRITES = ("y",)


def expect(ideal: Ideal) -> None:
    """What Pair must leave behind."""
    ideal.inputs("y")[:] = ideal.labels("y")[:, None]
