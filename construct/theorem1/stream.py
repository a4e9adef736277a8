"""The residual stream of Theorem 1."""

import numpy as np

from construct.residual import Residual, flags
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
