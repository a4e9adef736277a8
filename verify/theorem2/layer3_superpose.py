"""Check of Lemma 3: the answer token holds the superposition weighted by prevalence."""

from verify.ideal import Ideal, answer_token

WRITES = ("y",)
# A winner scores 0 as nearly as ok is 1, which is the winners' spread.
WINNERS_SCORE_0 = True
asks = answer_token


def expect(ideal: Ideal) -> None:
    """What Superpose must leave behind."""
    ideal.answer("y")[:] = ideal.verdict.vector
