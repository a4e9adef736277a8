"""Lemma 2 (Recognize). After layer 2 an input in slot p_i that task i explains holds g_i(X_query)
in y, and ok = 1; every other token holds ok = 0, and what it held in y.

Hypotheses: every residual is at most rho or at least delta; labels, and W_i phi(x) + b_i for every
task and every input, have norm at most R; no example is explained by two tasks. Why: as in Theorem
1's Lemma 3, the token itself leads BOS by T or trails it by T, and all others are 2T behind. Bound:
each of K heads misplaces at most e^-T + N e^-2T, of ok as of values, which are at most 2R + ||b||
long; K times BOS' own value, which every head reads that is off, and the answer token reads in all
K heads. So ok is off by omega = K (e^-T + N e^-2T), and nothing restores it."""

from dataclasses import replace

from construct.spec import Spec
from construct.theorem2.gains import flag_leak, flag_rounding
from proofs.selection import Errors, Setting


def near(spec: Spec) -> int:
    """The near loser: BOS or the token itself, whichever does not win."""
    return 1


def lemma(setting: Setting, before: Errors) -> Errors:
    """The errors after Recognize."""
    spec = setting.spec
    omega = flag_leak(spec, setting.tau("recognize"), setting.far("recognize"))
    longest = 2 * spec.radius + spec.bias_norm + spec.weight_norm * before.h + before.y
    sink = spec.weight_norm * before.sink_f + before.sink_y
    longest += sink
    misplaced = (omega + spec.K * setting.select(spec.K)) * longest + spec.K * sink
    idle = spec.K * (sink + setting.far("recognize") * longest) * (1 + setting.select(spec.K))
    dot = setting.output_rounding(before.h, before.y)
    output = (
        spec.weight_norm * before.h
        + misplaced
        + dot
        + setting.gamma(1) * (setting.sizes.output + spec.weight_norm * before.h + dot)
    )
    ok = omega + (flag_rounding(spec, setting.gains.hard) if setting.rounds else 0.0)
    return replace(
        before,
        y=max(output, before.y + misplaced),
        output=output,
        ok=ok,
        idle_y=before.idle_y + idle,
    )
