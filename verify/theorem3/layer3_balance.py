"""Check of Lemma 3: the answer token holds half of c_1 times the sum of all outputs."""

from construct.theorem3.gains import derive
from verify.ideal import Ideal
from verify.theorem1.layer7_superpose import concerned

__all__ = ["FOLDED", "WRITES", "concerned", "expect"]

WRITES = ("y",)
FOLDED = True


def expect(ideal: Ideal) -> None:
    """What Balance must leave behind."""
    ideal.answer("y")[:] = derive(ideal.spec).series.c[0] / 2 * ideal.verdict.outputs.sum(0)
