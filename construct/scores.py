"""Parts that layers of several theorems share: terms of scores, one head, one MLP.

A term here reads names of subspaces that every theorem's residual stream has.
"""

import numpy as np
from jaxtyping import Float

from construct.gains import CommonGains
from construct.heads import Head, Term
from construct.layers import MLPWeights
from construct.residual import Residual, position_code
from construct.spec import Spec
from construct.tasks import Task


def example_input(residual: Residual) -> Float[np.ndarray, "1 D"]:
    """Reads 1 at an example's input and at most 0 elsewhere: inp - qry."""
    return residual["inp"] - residual["qry"]


def same_example(residual: Residual, gain: float) -> Term:
    """Scores gain * ceil(log2(m+1)) for a key of the query token's own example, and at least 2 gain
    less for any other."""
    return Term("example", gain * residual["e"], residual["e"])


def same_token(spec: Spec, residual: Residual, gain: float) -> Term:
    """Scores gain * L for the query token itself, L position bits, and at least 2 gain less for any
    other token."""
    position = np.concatenate([residual["e"], residual["s"]])
    return Term("position", gain * position, position)


def to_bos(residual: Residual, name: str, amount: Float[np.ndarray, "1 D"]) -> Term:
    """Adds a reading of the query token to the score of BOS alone."""
    return Term(name, amount, residual["bos"])


def other_slot(spec: Spec, residual: Residual, slot: int) -> Float[np.ndarray, "1 D"]:
    """Reads the number of bits in which a token's slot differs from `slot`: 0 in that slot, at
    least 1 elsewhere."""
    code = position_code(slot, spec.slot_bits)
    return (spec.slot_bits * residual["one"] - code @ residual["s"]) / 2


def explained_by(
    spec: Spec, gains: CommonGains, residual: Residual, task: Task
) -> tuple[Term, ...]:
    """The score by which a token attends to itself if this task explains it, and to BOS if not."""
    # The token itself scores P2 L - beta |r|^2: above BOS by T if the task explains the pair, below
    # it by T if not. A residual that points the other way lifts another token by at most beta (2R +
    # kappa)^2, which 2 P2 outweighs.
    L = spec.example_bits + spec.slot_bits
    miss = residual.placed(task.weight, "f") + np.outer(task.bias, residual["inp"]) - residual["y"]
    elsewhere = residual["one"] - example_input(residual) + other_slot(spec, residual, task.slot)
    return (
        same_token(spec, residual, gains.P2),
        Term("residual", -gains.beta * miss, miss),
        to_bos(residual, "threshold", (gains.P2 * L - gains.T0) * residual["one"]),
        to_bos(residual, "elsewhere", gains.recognize_raise * elsewhere),
    )


def mean_of_committed(
    residual: Residual, T: float, flag: Float[np.ndarray, "1 D"], subspace: str
) -> Head:
    """The head by which the answer token averages a subspace over the tokens where a flag reads 1;
    elsewhere it is at most 0."""
    # Committed labels tie at exactly 0, BOS is T behind, all else 3T. With no committed label BOS
    # wins by 2T: "no evidence".
    one = residual["one"]
    committed = flag - (one - residual["bos"])
    return Head(
        terms=(
            Term("committed", one, 3 * T * committed - T * residual["bos"]),
            to_bos(residual, "idle", 3 * T * (one - residual["qry"] + residual["inp"])),
        ),
        value=residual[subspace],
        out=residual[subspace].T,
    )


def trapezoid(residual: Residual, dtype: str) -> MLPWeights:
    """The MLP that writes ok = 1 where count is near 1, and 0 where it is near 0 or at
    least 7/4."""
    # Slopes of 2 between quarters: near a count of 1 every product and sum is exact in floats, so
    # all committed labels get the same ok = 1 to the last bit, and Superpose's winners tie. No gate
    # is needed, hence no constant that grows with K.
    corners = np.array([[1 / 4], [3 / 4], [5 / 4], [7 / 4]])
    slopes = np.array([[2.0, -2.0, -2.0, 2.0]])
    return MLPWeights(
        W_1=(residual["count"] - corners * residual["one"]).astype(dtype),
        W_2=(residual["ok"].T @ slopes).astype(dtype),
    )
