"""Check of Lemma 3: the answer token holds half of c_1 times the sum of all outputs."""

from construct.theorem3.gains import derive
from verify.ideal import Ideal, answer_token

WRITES = ("y",)
# A winner scores exactly 0.
WINNERS_SCORE_0 = True
asks = answer_token


def expect(ideal: Ideal) -> None:
    """What Balance must leave behind."""
    ideal.answer("y")[:] = derive(ideal.spec).series.c[0] / 2 * ideal.verdict.outputs.sum(0)
