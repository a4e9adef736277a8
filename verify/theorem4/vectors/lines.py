"""The ideal residual stream of lines of unit vectors."""

from typing import Any

import numpy as np
from jaxtyping import Shaped

from verify import balls
from verify.theorem4.lines import Lines


class VectorLines(Lines):
    """As `Lines`, of vectors; a soft prefix has its flag."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if self.prompt.soft and len(self.prompt.prefix):
            self.stream["soft"][-len(self.prompt.prefix) :] = 1

    def exact(self, floats: Any) -> Shaped[np.ndarray, "*shape"]:
        """An array of floats in this stream's format."""
        array = np.asarray(floats, float)
        if self.dtype is float:
            return array
        return np.frompyfunc(balls.flint().arb, 1, 1)(array)

    def own(self, token: int) -> Shaped[np.ndarray, "S d"]:
        """The inputs that a token has fetched, slot by slot."""
        return self.stream["own"][token].reshape(self.S, -1)

    def soft(self, token: int) -> bool:
        """Whether a token is a mixture that was fed back."""
        return bool(self.stream["soft"][token, 0])
