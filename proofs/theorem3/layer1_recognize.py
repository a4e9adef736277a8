"""Lemma 1 (Recognize). After layer 1 a label holds in w the indicator of the tasks that explain its
example, their number in count, and ok = 1 exactly where the count is 1.

Hypotheses: the squared norms of labels, and of outputs in their task's slot, are within nu =
(delta^2 - rho^2)/16 of 1; every residual is at most rho or at least delta; no output in any slot is
longer than R. Why: 2 <y, g> = |y|^2 + |g|^2 - |r|^2 is at least 2 - rho^2 - 2 nu for a task that
explains the example and at most 2 - delta^2 + 2 nu for one that does not; beta times the difference
is 2T, and BOS lies T below the first. Every other key misses a position bit, 2 P2 >= 2 beta (R^2 -
1) + T0 + 2T, and loses to BOS by 2T; so does every key at a token that is no label. Bound: head i
alone writes w_i and misplaces at most e^-T + N e^-2T: K times that, in all of w and in count. Up to
1/4 the trapezoid restores ok (as in Theorem 1's Lemma 4).
"""

from dataclasses import replace

from construct.spec import Spec
from construct.theorem1.gains import ok_rounding
from construct.theorem3.gains import count_leak, count_rounding
from proofs.selection import Errors, Setting


def near(spec: Spec) -> int:
    """A label's near loser: BOS or the input in the task's slot, whichever does not win."""
    return 1


def lemma(setting: Setting, before: Errors) -> Errors:
    """The errors after Recognize; w is summed over tasks."""
    spec = setting.spec
    w = count_leak(spec, setting.tau("recognize"), setting.far("recognize"))
    w += count_rounding(spec, setting.gains.hard) if setting.rounds else 0.0
    return replace(before, w=w, count=w, ok=ok_rounding(spec) if setting.rounds else 0.0)
