"""Lemma 2 on vectors (Consistency). After layer 2 an arrow and every answer vector holds in g the
mean of 1 and of w over its line's vectors so far, soft ones counted as 1.

Hypotheses: as in Lemma 1. Why: as on words. For unit vectors <v, v'> = 1 - ||v - v'||^2/2, so after
t vectors g_i = 1 - r^2/(2 (t + 1)), r the residual on them, up to t norm tolerances over t + 1.
Bound: the error of w, 2 ((S + 1) e^-T + 2N e^-2T), and the rounding of a mean of L + 1 numbers."""

from dataclasses import replace

from construct.spec import Spec
from construct.theorem4.vectors.gains import mean_leak, mean_rounding
from proofs.theorem4.bounds import Setting
from proofs.theorem4.layer2_consistency import near
from proofs.theorem4.vectors.bounds import Errors


def lemma(setting: Setting, before: Errors) -> Errors:
    """The errors after Consistency."""
    spec: Spec = setting.spec
    leak = mean_leak(spec, setting.tau("consistency"), setting.far("consistency"))
    rounding = mean_rounding(spec, setting.gains.hard) if setting.rounds else 0.0
    return replace(before, g=before.w + leak + rounding)


__all__ = ["lemma", "near"]
