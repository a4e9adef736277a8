"""Check of Lemma 2: the answer token holds the prevalence of each task."""

from verify.ideal import Ideal, answer_token

WRITES = ("w",)
# A winner scores exactly 0.
WINNERS_SCORE_0 = True
asks = answer_token


def expect(ideal: Ideal) -> None:
    """What Tally must leave behind."""
    ideal.answer("w")[:] = ideal.verdict.prevalence
