"""Check of Lemma 4: the answer token adds each output by its gate."""

import numpy as np

from construct.theorem3.gains import derive
from verify.ideal import Ideal
from verify.theorem1.layer7_superpose import concerned

__all__ = ["FOLDED", "WRITES", "concerned", "expect"]

WRITES = ("y",)
# BOS scores 0 at the answer token, and the gate's other winner its slope times w - 1/2.
FOLDED = True


def expect(ideal: Ideal) -> None:
    """What Open must leave behind."""
    series = derive(ideal.spec).series
    gates = 1 / (1 + np.exp(-series.eps * (ideal.verdict.prevalence - 0.5)))
    ideal.answer("y")[:] += series.c[1] * gates @ ideal.verdict.outputs
