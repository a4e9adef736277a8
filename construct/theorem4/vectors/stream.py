"""The residual stream of Theorem 4 on vectors: that on words, with a flag of what is fed back
softly, and room for what a head says before it is cleaned."""

import math

from construct.residual import Residual
from construct.spec import Spec
from construct.theorem4 import stream
from construct.words import input_slots


def residual_stream(spec: Spec) -> Residual:
    """The named subspaces, D = (S + 2) d + 5K + L + 6 + ceil(log2(m+1)) + ceil(log2 n), n = S + 1 +
    L.

    As on words (`construct.theorem4.stream`), but: w by task the inner product of this vector with
    its own, g their mean over the line so far, said whether that mean is high enough, as a head
    says it, c the same as exactly 0 or 1; soft, 1 at a mixture that was fed back."""
    subspaces = []
    for name, size in stream.residual_stream(spec).subspaces:
        if name == "c":
            subspaces.append(("said", spec.K))
        if name == "e":
            subspaces.append(("soft", 1))
        subspaces.append((name, size))
    return Residual(subspaces=tuple(subspaces))


def embedding_bound(spec: Spec) -> float:
    """The width's closed form: (S + 2) d + 5K + L + log2(mn) + 8."""
    S = input_slots(spec)
    return (S + 2) * spec.d + 5 * spec.K + spec.L + math.log2(spec.m * spec.n) + 8
