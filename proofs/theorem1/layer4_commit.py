"""Lemma 4 (Commit). After layer 4 a label holds the sum of its inputs' codes and counts; ok = 1
exactly where the count is 1.

Hypotheses: the leaked count stays below 1/4 up to a count of 2 (checked when the gains are
derived). Bound: the n - 1 inputs tie, so the head reads their mean, times n - 1. The label itself
and BOS are T behind and hold 0, all else is 2T behind: a true count c shrinks by at most c (2 e^-T
+ N e^-2T), and strays add at most 3K N e^-2T. Why ok is exact: on [3/4, 5/4] all products and sums
of the trapezoid are exact in floats, and it is 1 there; up to 1/4 it is
0. From a count of 2 on, at most two of its three sums round, on at most 4c.
"""

from dataclasses import replace

from construct.spec import Spec
from construct.theorem1.gains import ok_rounding, recognize_leak
from proofs.selection import Errors, Setting


def near(spec: Spec) -> int:
    """A label's near losers: itself and BOS."""
    return 2


def lemma(setting: Setting, before: Errors) -> Errors:
    """The errors after Commit."""
    spec, far = setting.spec, setting.far("recognize")
    gathered = recognize_leak(spec, setting.tau("recognize"))
    shrink = spec.K * (2 * setting.tau("commit") + setting.far("commit"))
    leak = gathered + shrink + 3 * spec.K * far
    rounding = spec.K * (setting.average(spec.n + spec.K) + setting.select(spec.K))
    ok = ok_rounding(spec) if setting.rounds else 0.0
    code = spec.K * setting.gamma(spec.K + 3)
    return replace(
        before,
        z=max(before.z, leak + rounding + code),
        count=max(before.count, leak + rounding),
        ok=ok,
    )
