"""Cases of Theorem 3: a few shapes, so that its layers compile a few times, and the case that its
tests strike faults on."""

from hypothesis import strategies as st

from tests.strategies import Case, Shape, cases
from verify.theorem import ALL

THEOREM = ALL[3]
SHAPES = (Shape(4, 16, 32, 3), Shape(12, 8, 10, 2, dtype="float64"))
CASES = cases(st.sampled_from(SHAPES), count=1, theorem=THEOREM)

RANDOM = Case("random", SHAPES[0], 1, (32,), (3,), (3,), theorem=THEOREM)
