"""Cases of Theorem 2: a few shapes, so that its layers compile a few times, and the cases that its
tests strike faults on."""

from hypothesis import strategies as st

from tests.strategies import Case, Shape, cases
from verify.theorem import ALL

THEOREM = ALL[2]
SHAPES = (Shape(2, 3, 6, 3), Shape(12, 8, 10, 2, dtype="float64"), Shape(5, 3, 7, 5, features=4))
CASES = cases(st.sampled_from(SHAPES), count=1, theorem=THEOREM)

RANDOM = Case("random", Shape(4, 16, 32, 3), 1, (32,), (3,), (0,), theorem=THEOREM)
FEATURES = Case("random", SHAPES[-1], 1, (7,), (1,), (0,), theorem=THEOREM)
