"""Lemma 4 on vectors (Posterior). After layer 4 an arrow and every answer vector but the last holds
the posterior omega_i = m_i [task i says all vectors so far] / sum, over the examples before its
line, and in y the mean of the next vectors, sum_i omega_i W_i^(t) own[p_i]. If the sum is 0, both
are 0; with a fall-back, omega is the prior m_i/M.

Hypotheses: as in Lemma 3. Why: c is exact and so is ok, up to its rounding where the softmax leaks:
omega is as on words. The gate of the next place is omega_i, that of others is shut, and the product
with W_i^(t) own is exact. Bound, in Euclidean norm: X^2 (e^-T + 2N e^-2T) for omega, as much for
own; the rounding of the posterior's mean, of K gates, of products with matrices whose rows' norms
sum to sqrt(d) X at most, and of the sum over tasks."""

import math
from dataclasses import replace

from construct.spec import Spec
from construct.theorem4.vectors.gains import longest_vector
from proofs.theorem4.bounds import Setting
from proofs.theorem4.vectors.bounds import Errors

# A gate adds omega, a flag and the constant, of sizes 1, 2 and 2: two additions of at most 3.
GATE_ROUNDINGS, GATE_SIZE = 2, 3


def near(spec: Spec) -> int:
    """The near loser of an arrow or a vector: BOS."""
    return 1


def lemma(setting: Setting, before: Errors) -> Errors:
    """The errors after Posterior."""
    spec, X = setting.spec, longest_vector(setting.spec)
    blocks = 2 * (math.isqrt(setting.tokens - 1) + 1)
    omega = setting.tau("posterior") + 2 * setting.far("posterior") + setting.average(blocks)
    if setting.rounds:  # the winners' scores differ where ok rounds, and so do their weights
        omega += 2 * math.expm1(
            setting.gains.spread("posterior") + 2 * setting.gains.error("posterior")
        )
    gates = spec.K * setting.gamma(GATE_ROUNDINGS) * GATE_SIZE
    products = setting.gamma(spec.d + 2) * math.sqrt(spec.d) * X
    summed = 2 * setting.gamma(spec.K + 2) * X  # a coordinate has one summand a task
    output = X * (X * (omega + gates) + before.own + products + summed)
    return replace(before, omega=omega, y=output, output=output)
