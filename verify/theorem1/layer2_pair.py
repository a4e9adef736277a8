"""Check of Lemma 2: every example input holds its example's label."""

from verify.ideal import Ideal, example_inputs

WRITES = ("y",)
WINNERS_SCORE_0 = False
asks = example_inputs


def expect(ideal: Ideal) -> None:
    """What Pair must leave behind."""
    ideal.inputs("y")[:] = ideal.labels("y")[:, None]
