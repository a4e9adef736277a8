"""Lemma 1 (Recognize). After layer 1 an arrow and every answer word holds its line's inputs in own,
and a word holds w_i = 1 for each task i that says it there about these inputs, and 0 for the
others.

Hypotheses: inputs and answers are words or blank; a soft word's weights are 0 or at least 1/m, and
sum to 1 at most. Why: the token in slot p of the own line is the one winner; BOS is T behind and
holds 0, all else misses a position bit and is 2T behind. So own is off by e^-T + N e^-2T at the
word x that the line has there, and by N e^-2T elsewhere. The unit of word v has z = own_v + (weight
of W_i^(u) e_v) - 1: for v = x the weight of the task's own word, less the leak, and 1/m - 1/(4m) or
more is past 1/k <= 1/(2m), where the two units differ by 1/k exactly; for all other v no more than
own_v, N e^-2T in all. Bound: what a task that does not say the word gets, k (N e^-2T + the faint
weight 1/(8 L' k) that a soft word may have beside), plus the rounding of two units times k (none
for a hard softmax and hard words: z is 0 or 1)."""

from dataclasses import replace

from construct.spec import Spec
from construct.theorem4.gains import fetch_leak, match_leak, match_rounding
from proofs.theorem4.bounds import Errors, Setting


def near(spec: Spec) -> int:
    """An arrow's or a word's near loser: BOS."""
    return 1


def lemma(setting: Setting, before: Errors) -> Errors:
    """The errors after Recognize."""
    spec, tau, far = setting.spec, setting.tau("recognize"), setting.far("recognize")
    own = fetch_leak(spec, tau, far) + setting.select()
    w = match_leak(spec, far, setting.soft)
    if setting.rounds and (setting.soft or not setting.gains.hard):
        w += match_rounding(spec)
    return replace(before, own=own, w=w)
