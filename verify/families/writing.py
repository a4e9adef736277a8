"""How a family's examples are written."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from construct.families import Family
from construct.families.family import Words


@dataclass(frozen=True)
class Writing:
    """How a family's examples are written: `left` is what stands left of the label, arrow included.

    form: a sample to show to people. pattern: its groups are the words of an example. open: the
    family that can hold words of up to a given number of letters. draw: the words of a random
    example. write: words -> left.
    """

    form: str
    pattern: re.Pattern[str]
    open: Callable[[int], Family]
    draw: Callable[[np.random.Generator], Words]
    write: Callable[[Words], str]

    def words(self, left: str) -> Words | None:
        """The words of an example, or None where it is written otherwise."""
        match = self.pattern.fullmatch(left)
        return match and match.groups()
