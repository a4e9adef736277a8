"""Lemma 5 (Correct). After layer 5 the answer token holds sum_i F(w_i) g_i(X), which is sum_i
(m_i/M) g_i(X) up to the remainder; for any task vector w >= 0 with sum at most 1 in the place of
the prevalences, sum_i w_i g_i(X).

Hypotheses: as in Lemma 3. Bound: beyond the three gates' errors, R times the remainder sum_i
|F(w_i) - w_i| <= M/25, M about eps^4/30 (`construct.theorem3.series` derives it; exactly 0 on a
pure prompt), and the rounding of the values, amplified by no more than 1 + M/25 since it is common
to the three gates. Together, at first order: leak + R eps^4/750 + K R (16/(3 eps)) gamma, which eps
= (1000 K gamma)^(1/5) minimizes.
"""

from dataclasses import replace

from construct.spec import Spec
from proofs.selection import Errors, Setting
from proofs.theorem3.perform import add_gate, output_rounding


def near(spec: Spec) -> int:
    """None: the two winners are BOS and the query's token."""
    return 0


def lemma(setting: Setting, before: Errors) -> Errors:
    """The errors after Correct."""
    remainder = setting.gains.series.remainder
    added = add_gate(setting, before, 2)
    output = (
        added.output
        + remainder * setting.spec.radius
        + (1 + remainder) * output_rounding(setting, before)
    )
    return replace(added, y=max(output, setting.stored(setting.spec.radius)), output=output)
