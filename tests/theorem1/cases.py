"""Cases of Theorem 1 that its tests strike faults on."""

from tests.strategies import Case, Shape

RANDOM = Case("random", Shape(4, 16, 32, 3), 1, (32,), (3,), (3,))
SUMS = Case("random", Shape(4, 6, 8, 4, sum_slot=True), 1, (8,), (1,), (1,))
FEATURES = Case("random", Shape(5, 3, 7, 5, features=4), 1, (7,), (1,), (1,))
