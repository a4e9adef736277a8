"""Lemma 1 (Pair). After layer 1 every example input holds its example's label in y and the content
of the query's token of its own slot in q; with ReLU features also phi of its own and of that
content.

Hypotheses: labels have norm at most R, inputs at most X. Why: scores are T times whole numbers. The
own label and the own slot's query token tie at T (L + 1), the token itself is T behind, all others
2T or more. Each winner's weight is 1/Z, 2 <= Z <= 2 + e^-T + N e^-2T; its value is doubled. Bound:
y is off by R (e^-T/2 + 2N e^-2T), since the token itself holds y = 0; q by X (3 e^-T/2 + 3N e^-2T),
since it holds x. Any other token loses to BOS by 2T, so that the answer token's y is off by 2R N
e^-2T; BOS itself idles by 3T, so that its y is off by 2R N e^-3T and its q by 2X N e^-3T."""

from dataclasses import replace

from construct.gains import feature_rounding
from construct.spec import Spec
from construct.theorem2.gains import carried_leak, label_leak, sink_label_leak
from proofs.selection import Errors, Setting


def near(spec: Spec) -> int:
    """An example input's near loser: itself."""
    return 1


def lemma(setting: Setting, before: Errors) -> Errors:
    """The errors after Pair."""
    spec, tau, far = setting.spec, setting.tau("pair"), setting.far("pair")
    select = 2 * setting.select()
    y = before.y + label_leak(spec, tau, far) + select * spec.radius
    q = before.x + carried_leak(spec, tau, far, setting.input_norm) + select * setting.input_norm
    round_off = 1 + select
    before = replace(
        before,
        sink_f=spec.feature_norm * round_off * 2 * setting.input_norm * setting.third("pair"),
        sink_y=round_off * sink_label_leak(spec, setting.third("pair")),
        idle_y=round_off * 2 * spec.radius * far,
    )
    if not spec.features:
        return replace(before, y=y, q=q, h=q)
    rounding = feature_rounding(spec, setting.input_norm + q) if setting.rounds else 0.0
    f = spec.feature_norm * before.x + rounding
    return replace(before, y=y, q=q, f=f, h=spec.feature_norm * q + rounding)
