"""Lemma 2 (Tally). After layer 2 the answer token holds in w the prevalence m_i/M of each task: the
task vector; 0 if M = 0.

Hypotheses: every committed label has the same ok (Lemma 1), so that the winners tie exactly. Bound:
summed over tasks, e^-T for BOS, which holds 0, and (K + 1) N e^-2T for all else, which is 3T behind
and holds at most K. Rounding is relative to each m_i/M, and these sum to 1.
"""

from dataclasses import replace

from construct.spec import Spec
from proofs.selection import Errors, Setting


def near(spec: Spec) -> int:
    """The answer token's near loser: BOS."""
    return 1


def lemma(setting: Setting, before: Errors) -> Errors:
    """The errors after Tally; w is summed over tasks."""
    largest = 1 + before.w
    leak = (setting.tau("tally") + (setting.spec.K + 1) * setting.far("tally")) * largest
    return replace(before, w=2 * before.w + leak + setting.mean_of_winners() * largest)
