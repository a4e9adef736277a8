"""Layer 3, Commit: the last word of a line knows whether exactly one task says the whole answer.
Realizes Lemma 3.

    MLP         : ok = trapezoid(n),  n = c_1 + ... + c_K - (K + 1) (one - a_L)

with the trapezoid of Theorem 1's Commit: 0 up to 1/4, 1 from 3/4 to 5/4, 0 from 7/4 on. All heads
are idle.
"""

import numpy as np

from construct.heads import banks
from construct.layers import LayerWeights, MLPWeights, Support
from construct.residual import Residual
from construct.spec import Spec
from construct.theorem4.gains import Gains
from construct.words import WordTask


def layer(spec: Spec, gains: Gains, residual: Residual, tasks: list[WordTask]) -> LayerWeights:
    """The weights of Commit."""
    # c is exactly 0 or 1 by task: the count is a whole number, and -1 at most where the token is no
    # last word. So ok is exactly 0 or 1.
    one, last = residual["one"], residual[f"a{spec.L}"]
    count = np.ones((1, spec.K)) @ residual["c"] - (spec.K + 1) * (one - last)
    corners = np.array([[1 / 4], [3 / 4], [5 / 4], [7 / 4]])
    slopes = np.array([[2.0, -2.0, -2.0, 2.0]])
    mlp = MLPWeights(
        W_1=(count - corners * one).astype(spec.dtype),
        W_2=(residual["ok"].T @ slopes).astype(spec.dtype),
    )
    heads = banks([], 0, spec.K, residual, spec.dtype)
    return LayerWeights("commit", heads, Support.SELF, mlp, causal=True)
