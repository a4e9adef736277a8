"""Lemma 3 (Commit). After layer 3 the last word of a line has ok = 1 if exactly one task explains
it, and every other token has ok = 0.

Hypotheses: c is exactly 0 or 1 (Lemma 2). Why: n = c_1 + ... + c_K at a last word, and c_1 + ... +
c_K - K - 1 <= -1 elsewhere, is a whole number, at which every product and sum of the trapezoid is
exact in floats. Bound: 0."""

from dataclasses import replace

from construct.spec import Spec
from proofs.theorem4.bounds import Errors, Setting


def near(spec: Spec) -> int:
    """None: all heads are idle."""
    return 0


def lemma(setting: Setting, before: Errors) -> Errors:
    """The errors after Commit."""
    return replace(before, ok=0.0)
