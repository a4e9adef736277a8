"""The residual stream of Theorem 4: what is said, what could be said next, and by task how well it
explains a line."""

import math

from construct.residual import Residual
from construct.roles import line_flags
from construct.spec import Spec
from construct.words import input_slots


def residual_stream(spec: Spec) -> Residual:
    """The named subspaces, D = (S + 2) d + 4K + L + 5 + ceil(log2(m+1)) + ceil(log2 n), n = S + 1 +
    L.

    x content: input words and answer words; y the distribution of the next word; own the own line's
    inputs, slot by slot; by task: w whether it says this word, g the mean of w over the line so
    far, c whether it says all of it, omega its posterior; ok, 1 at the last word of an example that
    exactly one task explains; the flags; e and s."""
    S, K = input_slots(spec), spec.K
    held = {name for here in line_flags(S, spec.L) for name in here} | {"bos"}
    flags = ("one", "bos", "inp", *(f"a{u}" for u in range(spec.L + 1)))
    assert set(flags) == held, "every flag of a line has a coordinate"
    return Residual(
        subspaces=(("x", spec.d), ("y", spec.d), ("own", S * spec.d))
        + tuple((name, K) for name in ("w", "g", "c", "omega"))
        + (("ok", 1),)
        + tuple((flag, 1) for flag in flags)
        + (("e", spec.example_bits), ("s", spec.slot_bits)),
    )


def embedding_bound(spec: Spec) -> float:
    """The width's closed form: (S + 2) d + 4K + L + log2(mn) + 7."""
    S = input_slots(spec)
    return (S + 2) * spec.d + 4 * spec.K + spec.L + math.log2(spec.m * spec.n) + 7
