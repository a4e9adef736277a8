"""The residual stream of Theorem 2: the query's content q is carried beside the example's own x and
y."""

import math

from construct.residual import Residual, flags
from construct.spec import Spec


def residual_stream(spec: Spec) -> Residual:
    """The named subspaces, D = 3d + (2r) + ceil(log2(m+1)) + ceil(log2 n) + 6.

    x content of inputs; y content of labels, then at an example's inputs its label, then the task's
    output on the query, and the answer; q content of the query in the token's own slot; f, h
    features of x and of q (x and q themselves when phi is the identity); ok, 1 iff a task explains
    the example in this slot; the flags; e and s, codes of example and slot.
    """
    features = (("f", spec.features), ("h", spec.features)) if spec.features else ()
    return Residual(
        subspaces=(("x", spec.d), ("y", spec.d), ("q", spec.d), *features, ("ok", 1))
        + tuple((flag, 1) for flag in flags(spec))
        + (("e", spec.example_bits), ("s", spec.slot_bits)),
        aliases=() if spec.features else (("f", "x"), ("h", "q")),
    )


def embedding_bound(spec: Spec) -> float:
    """The width's closed form: 3d + 2r + log2(mn) + 8."""
    return 3 * spec.d + 2 * spec.features + math.log2(spec.m * spec.n) + 8
