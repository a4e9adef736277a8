"""What Theorem 4's lemmas share: what a bound is asked for, and the errors that they compose."""

import math
from dataclasses import dataclass

from proofs import selection


@dataclass(frozen=True)
class Setting(selection.Setting):
    """As for other theorems. soft: the words said so far may be soft ones."""

    soft: bool = True

    def far(self, layer: str) -> float:
        """As for other theorems, rounded up: an upper bound also where e^-2T is below every float,
        for some lemmas here have no larger term beside it."""
        far = super().far(layer)
        return math.nextafter(far, math.inf) if self.leaks else far


@dataclass(frozen=True)
class Errors(selection.Errors):
    """How far each subspace of any token can be from the definition's, in max norm; omega and
    output summed over tasks and over words. Content, flags and codes are exact.

    own: of fetched inputs. w, g, c: by task. omega: the posterior. output: y, the distribution of
    the next word."""

    own: float = 0.0
    g: float = 0.0
    c: float = 0.0
    omega: float = 0.0
