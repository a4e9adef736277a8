"""Lemma 3 on vectors (Commit). After layer 3 an arrow and every answer vector holds c_i = 1 exactly
if task i says all vectors of its line so far, 0 if not; and the last one of a line ok = 1 if
exactly one task explains it, every other token ok = 0.

Hypotheses: every residual on a line so far is at most rho or at least delta, and leak and rounding
of g leave room between (checked when the gains are derived). Why: a residual of rho leaves g above
theta_t by (delta^2 - rho^2)/(4 (t + 1)), one of delta below it by as much, both less t/(t + 1) norm
tolerances and the error of g: lambda times that is T or more. So the token itself and BOS are T
apart, and other tokens, which miss a position bit, 2T behind the one that wins. What a head says is
off by e^-T + N e^-2T, at most 1/4, and both units of c are exact there in floats; K of these are at
most 1/4 in all (checked), where the trapezoid is flat. Bound: 0 for c; for ok the rounding of its
four units, 0 with a hard softmax."""

from dataclasses import replace

from construct.spec import Spec
from proofs.theorem4.bounds import Setting
from proofs.theorem4.vectors.bounds import Errors


def near(spec: Spec) -> int:
    """The near loser of an arrow or a vector: BOS, or the token itself."""
    return 1


def lemma(setting: Setting, before: Errors) -> Errors:
    """The errors after Commit."""
    said = setting.tau("commit") + setting.far("commit") + setting.select()
    return replace(before, said=said, c=0.0, ok=setting.gains.ok if setting.rounds else 0.0)
