"""Lemma 2 (Consistency). After layer 2 an arrow and every answer word holds in g the mean of 1 and
of w over its line's words so far, and c_i = 1 exactly where task i says all of them, 0 where it
does not.

Hypotheses: as in Lemma 1, and the mean is off by at most 1/(4L') (checked when the gains are
derived). Why: under the mask the arrow and the words up to the own one tie; the line's S inputs and
BOS are T behind and hold 0, all else is 2T behind. One word that is not said costs the mean 1/(L+1)
>= 1/L'. So g is at least 1 - 1/(4L') or at most 1 - 3/(4L'), where the MLP gives exactly 1 or 0:
near 1 both units are exact in floats, and their difference is 1/(2L'). Bound: (S + 1) e^-T + N
e^-2T, the error of w, and the rounding of a mean of L + 1 numbers."""

from dataclasses import replace

from construct.spec import Spec
from construct.theorem4.gains import mean_leak, mean_rounding
from construct.words import input_slots
from proofs.theorem4.bounds import Errors, Setting


def near(spec: Spec) -> int:
    """The near losers of an arrow or a word: its line's inputs and BOS."""
    return input_slots(spec) + 1


def lemma(setting: Setting, before: Errors) -> Errors:
    """The errors after Consistency; c is exact."""
    spec = setting.spec
    leak = mean_leak(spec, setting.tau("consistency"), setting.far("consistency"))
    rounding = mean_rounding(spec, setting.gains.hard) if setting.rounds else 0.0
    return replace(before, g=before.w + leak + rounding, c=0.0)
