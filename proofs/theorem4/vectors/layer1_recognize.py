"""Lemma 1 on vectors (Recognize). After layer 1 an arrow and every answer vector holds its line's
inputs in own, and a vector v holds w_i = <v, W_i^(u) own[p_i]>; a soft one holds w = 0.

Hypotheses: inputs, answers and what tasks say are unit vectors, up to `norm_tolerance`. Why: the
fetch is that of words. Of the two units of a coordinate at place u, z = v_a and z' = v_a, one
passes on |v_a| and the other nothing, and their products sum to v_a (W own)_a; at other places,
other tokens and soft ones both are shut, since |v_a| < 2. Bound: X (tau + 2 nu) for own, X the
longest vector, of which w makes X times as much; the rounding of two vectors, of gates, products
and their sum."""

from dataclasses import replace

from construct.spec import Spec
from construct.theorem4.vectors.gains import (
    agreement_rounding,
    longest_vector,
    own_leak,
    own_rounding,
)
from proofs.theorem4.bounds import Setting
from proofs.theorem4.vectors.bounds import Errors


def near(spec: Spec) -> int:
    """An arrow's or a vector's near loser: BOS."""
    return 1


def lemma(setting: Setting, before: Errors) -> Errors:
    """The errors after Recognize."""
    spec, hard = setting.spec, setting.gains.hard
    own = own_leak(spec, setting.tau("recognize"), setting.far("recognize"))
    w = longest_vector(spec) * own
    if setting.rounds:
        own += own_rounding(spec, hard)
        w += agreement_rounding(spec, hard)
    return replace(before, own=own, w=w)
