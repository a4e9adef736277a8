"""Lemma 3 (Superpose). After layer 3 the answer token holds the mean of the committed inputs'
outputs, sum_i (m_i/M) g_i(X); with none it holds 0.

Hypotheses: the spread 2 C omega of the winners' scores is below T/2 (checked when the gains are
derived). Why: winners score C (ok - 1), within C omega of 0; BOS is T behind the last of them,
everything else C (1 - 2 omega) >= 3T. So the weights of any two winners differ by a factor of at
most e^(2 C omega). Bound: beyond the error of the outputs, R (e^-T + 2N e^-2T) for the losers and
2R (e^(2 C omega) - 1) for the uneven mean: with C = 3T/(1 - 2 omega) and omega = K (e^-T + N e^-2T)
that is 12 K R T e^-T at first order; and the answer token's own y, with BOS' where nothing wins.
The factor T is the price of having no MLP to restore ok. The mean is summed in blocks of sqrt(N): 2
sqrt(N) roundings."""

import math
from dataclasses import replace

from construct.spec import Spec
from proofs.selection import Errors, Setting


def near(spec: Spec) -> int:
    """The answer token's near loser: BOS."""
    return 1


def lemma(setting: Setting, before: Errors) -> Errors:
    """The errors after Superpose."""
    gains = setting.gains
    largest = setting.spec.radius + before.y
    score = gains.error("superpose") if setting.rounds else 0.0
    uneven = math.expm1(2 * (gains.C * before.ok + score))
    leak = (setting.tau("superpose") + 2 * setting.far("superpose") + 2 * uneven) * largest
    # BOS' y is no further from 0 than the answer token's own.
    answer = (
        before.output
        + 2 * before.idle_y
        + leak
        + setting.mean_of_winners(before.ok) * (setting.sizes.output + before.output)
    )
    return replace(before, y=max(answer, before.y + leak), output=answer)
