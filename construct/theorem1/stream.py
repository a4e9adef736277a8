"""The residual stream of Theorem 1 and the small combinations of its subspaces that several layers
read."""

import numpy as np
from jaxtyping import Float

from construct.heads import Term
from construct.residual import Residual, flags, position_code
from construct.spec import Spec


def residual_stream(spec: Spec) -> Residual:
    """The named subspaces, D = 2d + (r) + ceil(log2(m+1)) + ceil(log2 n) + 9 (+1 with a sum slot):
    no K anywhere.

    x content of inputs; y content of labels, later the output and the answer; f features (x itself
    when phi is the identity); z task code; count of explaining tasks; ok, 1 iff exactly one; the
    flags; e and s, codes of example and slot.
    """
    features = (("f", spec.features),) if spec.features else ()
    return Residual(
        subspaces=(("x", spec.d), ("y", spec.d), *features, ("z", 2), ("count", 1), ("ok", 1))
        + tuple((flag, 1) for flag in flags(spec))
        + (("e", spec.example_bits), ("s", spec.slot_bits)),
        aliases=() if spec.features else (("f", "x"),),
    )


def embedding_bound(spec: Spec) -> float:
    """The theorem's O(d + log(mn)) with its constants: 2d + r + log2(mn) + 11 (+1 with a
    sum slot)."""
    return 2 * spec.d + spec.features + float(np.log2(spec.m * spec.n)) + 11 + spec.sum_slot


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
