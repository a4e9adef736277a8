"""From a distribution over words to logits: one more MLP that takes logarithms.

An answer's coordinates are fractions a/b with b <= m, or 0: so many examples of so many that count.
On these, the *Farey fractions*, a piecewise linear function can be the logarithm exactly:

    log y = -sum_j c_j relu(k_j - y),    k_j the fractions from 1/m to 1,  c_j > 0

All terms have one sign, so nothing cancels. One more knot at 1/(2m), below which no answer lies
but 0, keeps the slope small at 1/m; from there to 0 the function goes down to a floor at which all
words that nothing says share at most one unit roundoff of probability. A softmax then gives the
answer back. Ours; `proofs.export.logits` bounds it.
"""

import math
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from construct.export.arrays import Block, idle_heads
from construct.floats import unit_roundoff
from construct.residual import Residual

NAME = "logits"


def farey(m: int) -> list[Fraction]:
    """The fractions a/b with 0 < a <= b <= m, each once, in order: some 3 m^2/pi^2 of them."""
    return sorted({Fraction(a, b) for b in range(1, m + 1) for a in range(1, b + 1)})


def knots_of(m: int) -> list[Fraction]:
    """Where the function bends: half of the least fraction, and all fractions."""
    return [Fraction(1, 2 * m), *farey(m)]


def floor(words: int, dtype: str) -> float:
    """The logit of a word of probability 0: `words` of them share at most one unit roundoff."""
    return math.log(unit_roundoff(dtype) / words)


def slopes(knots: list[float], values: list[float]) -> Float[np.ndarray, "knots"]:
    """The c_j by which -sum_j c_j relu(k_j - y) goes through these points and is 0 at the last.

    knots: from the second point on; the first point is at 0. Asserts that the function is concave.
    """
    slope = np.diff(values) / np.diff([0.0, *knots])
    change = slope - np.append(slope[1:], 0.0)
    assert (change > 0).all(), "the logarithm is concave, and its floor lies low enough"
    return change


def widened(residual: Residual, words: int) -> Residual:
    """The stream with room for logits beside its subspaces."""
    return Residual(residual.subspaces + ((NAME, words),), residual.aliases)


def logits_block(residual: Residual, answer: str, m: int, heads: int, dtype: str) -> Block:
    """The block that writes the logarithm of a subspace into the subspace `logits` of a widened
    stream. Its heads are idle."""
    words = residual.size(answer)
    fractions = knots_of(m)
    # The knots as the format holds them: there a correctly rounded answer meets its knot exactly.
    knots = [float(np.dtype(dtype).type(float(one))) for one in fractions]
    values = [floor(words, dtype), *(math.log(one) for one in fractions)]
    c = slopes(knots, values)
    one, y, out = residual["one"], residual[answer], residual[NAME]
    W_1 = np.concatenate([knot * one - y for knot in knots])
    W_2 = np.concatenate([-each * out for each in c]).T
    mlp = (W_1.astype(dtype), W_2.astype(dtype))
    return Block(NAME, idle_heads(heads, residual.dim, dtype), mlp)
