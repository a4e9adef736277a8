"""Check of Lemma 4: the answer token adds each output by its gate."""

import numpy as np

from construct.theorem3.gains import derive
from verify.ideal import Ideal, answer_token

WRITES = ("y",)
# BOS scores 0, and the gate's other winner its slope times w - 1/2, which is their spread.
WINNERS_SCORE_0 = True
asks = answer_token


def expect(ideal: Ideal) -> None:
    """What Open must leave behind."""
    series = derive(ideal.spec).series
    gates = 1 / (1 + np.exp(-series.eps * (ideal.verdict.prevalence - 0.5)))
    ideal.answer("y")[:] += series.c[1] * gates @ ideal.verdict.outputs
