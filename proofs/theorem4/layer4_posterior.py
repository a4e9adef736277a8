"""Lemma 4 (Posterior). After layer 4 an arrow and every answer word but the last holds the
posterior omega_i = m_i [task i says all words so far] / sum, over the examples before its line, and
in y the distribution of the next word, sum_i omega_i e_(g_i). If the sum is 0, both are 0; with a
fall-back, omega is the prior m_i/M.

Hypotheses: as in Lemma 2. Why: c and ok are exact, so the examples that count and whose task
follows tie at exactly 0; BOS is T behind, committed examples of other tasks 3T, all else 9T. With
no winner BOS leads by 2T, or falls back behind the committed examples, which tie. The mean of c
over m_i + ... winners is m_i over their number: the normalization is Bayes' rule. Of the units of
the MLP only that of the line's own word and the next place is open, and passes on omega_i + own -
1. Bound, summed over words: e^-T + 2N e^-2T for omega, as much for each task's own, and the words
that nobody says have (K + 1) N e^-2T. The rounding of the posterior's mean, of K units and of their
sum."""

import math
from dataclasses import replace

from construct.spec import Spec
from construct.theorem4.gains import step_leak, step_rounding
from proofs.theorem4.bounds import Errors, Setting


def near(spec: Spec) -> int:
    """The near loser of an arrow or a word: BOS."""
    return 1


def lemma(setting: Setting, before: Errors) -> Errors:
    """The errors after Posterior; omega is summed over tasks, y over words."""
    spec, tau, far = setting.spec, setting.tau("posterior"), setting.far("posterior")
    blocks = 2 * (math.isqrt(setting.tokens - 1) + 1)
    omega = tau + 2 * far + setting.average(blocks)
    rounding = step_rounding(spec, setting.gains.hard) if setting.rounds else 0.0
    output = step_leak(spec, tau, far) + rounding
    return replace(before, omega=omega, y=output, output=output)
