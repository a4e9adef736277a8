"""Lemma 2 (Pair). After layer 2 every example input holds its example's label in y.

Hypotheses: labels have norm at most R. Bound: R (n e^-T + 2N e^-2T). The own label is the one
winner; the n tokens at distance T (BOS and the example's inputs) hold y = 0, so their weight only
shrinks the label; labels of other examples are 2T behind. Any other token loses to BOS by 2T, so
that the answer token's y is off by R N e^-2T; BOS itself idles by 3T, so that its y is off by R N
e^-3T."""

from dataclasses import replace

from construct.spec import Spec
from construct.theorem1.gains import pair_leak
from proofs.selection import Errors, Setting


def near(spec: Spec) -> int:
    """An example input's near losers: the n - 1 inputs of its example and BOS."""
    return spec.n


def lemma(setting: Setting, before: Errors) -> Errors:
    """The errors after Pair."""
    leak = pair_leak(setting.spec, setting.tau("pair"), setting.far("pair"))
    radius, round_off = setting.spec.radius, 1 + setting.select()
    return replace(
        before,
        y=before.y + leak + setting.select() * radius,
        sink_y=round_off * radius * setting.third("pair"),
        idle_y=round_off * radius * setting.far("pair"),
    )
