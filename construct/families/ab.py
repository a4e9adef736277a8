"""AB: `23@41=` has the first number, the second, or their sum as its label. A sum slot, and a true
sum of ReLUs.

The slots hold A, B and '=': a blank that Lift fills with the sum of the two one-hot vectors. Copies
read them through relu(x); the sum is read off the hat functions of <v, x>. A copy read at the sum
slot is 2 e_A when A = B, hence radius 2. The numbers reach 198 in <v, x>, so residuals round too
much for float32's bound: float64 is the constructor's way out.
"""

import numpy as np

from construct.families.family import BLANK, Family, Weights, Words, vocabulary
from construct.families.hats import number_features, read_number
from construct.tasks import Task

LEAST, GREATEST = 10, 99


def ab() -> Family:
    """The family AB over the numbers 10..99."""
    numbers = {str(number): number for number in range(LEAST, GREATEST + 1)}
    totals = {total: str(total) for total in range(2 * LEAST, 2 * GREATEST + 1)}

    def weights(words: Words) -> Weights:
        kept = tuple(word for word in words if word in numbers)
        read = [total for total, name in totals.items() if name in words]
        feature_map = number_features(words, numbers, read, keep=kept)
        copy = np.zeros((len(words), feature_map.features))
        copy[[words.index(word) for word in kept], np.arange(len(kept))] = 1
        add = read_number(words, totals, read, kept=len(kept))
        slots = enumerate((copy, copy, add))
        return [Task(slot=slot, weight=weight) for slot, weight in slots], feature_map

    return Family(
        name="AB",
        vocabulary=vocabulary(numbers, totals.values()),
        domain=frozenset(numbers),
        functions={
            "copy A": lambda pair: pair[0],
            "copy B": lambda pair: pair[1],
            "A+B": lambda pair: str(int(pair[0]) + int(pair[1])),
        },
        weights=weights,
        slots=3,
        layout=lambda pair: (*pair, BLANK),
        sum_slot=True,
        radius=2.0,
        dtype="float64",
    )
