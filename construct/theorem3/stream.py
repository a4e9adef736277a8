"""The residual stream of Theorem 3: w holds the task vector, one coordinate a task."""

import math

from construct.residual import Residual, flags
from construct.spec import Spec


def residual_stream(spec: Spec) -> Residual:
    """The named subspaces, D = 2d + K + ceil(log2(m+1)) + ceil(log2 n) + 7.

    x content of inputs; y content of labels, at the end the answer; w at a label the tasks that
    explain its example, at the answer token their prevalence: the task vector; count of explaining
    tasks; ok, 1 iff exactly one; the flags; e and s.
    """
    return Residual(
        subspaces=(("x", spec.d), ("y", spec.d), ("w", spec.K), ("count", 1), ("ok", 1))
        + tuple((flag, 1) for flag in flags(spec))
        + (("e", spec.example_bits), ("s", spec.slot_bits)),
    )


def embedding_bound(spec: Spec) -> float:
    """The width's closed form: 2d + K + log2(mn) + 9."""
    return 2 * spec.d + spec.K + math.log2(spec.m * spec.n) + 9
