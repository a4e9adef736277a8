"""Check of Lemma 3: an input in slot p holds the codes and the number of the slot's tasks that
explain its example."""

import numpy as np

from verify.ideal import Ideal, example_inputs

WRITES = ("z", "count")
WINNERS_SCORE_0 = False
asks = example_inputs


def expect(ideal: Ideal) -> None:
    """What Recognize must leave behind."""
    for i, (slot, explains) in enumerate(zip(ideal.slots, ideal.verdict.explains, strict=True)):
        angle = 2 * np.pi * i / len(ideal.slots)
        ideal.inputs("z")[explains, slot] += [np.cos(angle), np.sin(angle)]
        ideal.inputs("count")[explains, slot] += 1
