"""Check of Lemma 5: the answer token holds the superposition weighted by prevalence."""

from verify.ideal import Ideal, answer_token

WRITES = ("y",)
# BOS scores 0, and the gate's other winner its slope times w - 1/2, which is their spread.
WINNERS_SCORE_0 = True
asks = answer_token


def expect(ideal: Ideal) -> None:
    """What Correct must leave behind."""
    ideal.answer("y")[:] = ideal.verdict.vector
