"""Check of Lemma 7: the answer token holds the superposition weighted by prevalence."""

from verify.ideal import Ideal, answer_token

WRITES = ("y",)
# The winner's score cancels to exactly 0, unless it is BOS.
WINNERS_SCORE_0 = True
asks = answer_token


def expect(ideal: Ideal) -> None:
    """What Superpose must leave behind."""
    ideal.answer("y")[:] = ideal.verdict.vector
