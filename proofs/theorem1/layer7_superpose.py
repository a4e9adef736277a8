"""Lemma 7 (Superpose). After layer 7 the answer token holds the mean of the committed labels'
outputs, sum_i (m_i/M) g_i(X); with no committed label it holds 0.

Hypotheses: every committed label has the same ok (Lemma 4), so that the winners tie exactly. Bound:
beyond the error of the outputs (R + E_y) (e^-T + 2N e^-2T), since BOS is T behind and all else 3T,
or BOS leads by 2T if there is no winner; the answer token's own y, which layers 2 and 6 leave
there; and BOS' y, which is read if there is no winner. The mean is summed in blocks of sqrt(N): 2
sqrt(N) roundings."""

from dataclasses import replace

from construct.spec import Spec
from proofs.selection import Errors, Setting


def near(spec: Spec) -> int:
    """The answer token's near loser: BOS."""
    return 1


def lemma(setting: Setting, before: Errors) -> Errors:
    """The errors after Superpose."""
    largest = setting.spec.radius + before.y + before.output + before.idle_y
    leak = (setting.tau("superpose") + 2 * setting.far("superpose")) * largest
    # BOS' y is no further from 0 than the answer token's own.
    answer = (
        before.output
        + 2 * before.idle_y
        + leak
        + setting.mean_of_winners() * (setting.sizes.output + before.output)
    )
    return replace(before, y=max(answer, before.y + leak), output=answer)
