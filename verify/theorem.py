"""The one list of theorems. Commands, explorer, tests and mutants read it; a new theorem is a
record of its own (`verify.record.Theorem`) and one name here."""

from verify.record import Theorem
from verify.theorem1 import THEOREM1
from verify.theorem2 import THEOREM2
from verify.theorem3 import THEOREM3
from verify.theorem4 import THEOREM4

ALL: dict[int, Theorem] = {
    theorem.number: theorem for theorem in (THEOREM1, THEOREM2, THEOREM3, THEOREM4)
}

__all__ = ["ALL", "Theorem"]
