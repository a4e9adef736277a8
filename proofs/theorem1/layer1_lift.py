"""Lemma 1 (Lift). After layer 1 a sum slot holds the sum of its example's other inputs, and every
token its features.

Hypotheses: sum slots are blank; every input, the sums included, has norm at most X. Bound: x is off
by 2X (3 e^-T + N e^-2T) at a sum slot (its n - 2 winners tie; its label, itself and BOS are T
behind and hold x = 0), by (n - 2) X N e^-2T elsewhere (BOS wins by 2T), and at BOS by (n - 2) X N
e^-3T (no key's example counts for it: BOS wins by 3T). Without a sum slot all heads are idle: x is
exact. Features: phi is Lipschitz with ||B||, and they are 0 up to that where x should be 0.
"""

import math
from dataclasses import replace

from construct.gains import feature_rounding
from construct.spec import Spec
from construct.theorem1.gains import lift_leak, lift_strays
from proofs.selection import Errors, Setting


def near(spec: Spec) -> int:
    """A sum slot's near losers: its example's label, itself and BOS."""
    return 3


def lemma(setting: Setting, before: Errors) -> Errors:
    """The errors after Lift."""
    spec = setting.spec
    x = before.x
    if spec.sum_slot:
        x = max(spec.n - 2, 1) * before.x  # the errors of the inputs add up in their sum
        x += lift_leak(spec, setting.tau("lift"), setting.far("lift"), setting.input_norm)
        x += setting.average(spec.n + 1) * (spec.n - 2) * setting.input_norm
        x += math.sqrt(spec.d) * setting.underflow(spec.n, 0.0)
    # What should be 0 rounds relative to what it is.
    round_off = 1 + setting.average(spec.n + 1)
    rest, sink = (
        spec.feature_norm * round_off * lift_strays(spec, weight("lift"), setting.input_norm)
        for weight in (setting.far, setting.third)
    )
    before = replace(before, rest_f=rest, sink_f=sink)
    if not spec.features:
        return replace(before, x=x, f=x)
    f = spec.feature_norm * x + (
        feature_rounding(spec, setting.input_norm) if setting.rounds else 0.0
    )
    return replace(before, x=x, f=f)
