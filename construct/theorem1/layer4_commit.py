"""Layer 4, Commit: the label gathers its example's verdict and commits if exactly one task explains
it. Realizes Lemma 4.

    score(q, k) = T <e_q, e_k> + T inp_k                    BOS: T |e| + 3T (one - lab)_q
    value       = (n - 1) (z, count) -> (z, count)
    MLP         : ok = trapezoid(count), 0 up to 1/4, 1 on [3/4, 5/4], 0 from 7/4 on

An input's ok says the same of its own slot; only a label's is ever asked for.
"""

import numpy as np

from construct.heads import Head, Term, banks
from construct.residual import Residual
from construct.spec import Spec
from construct.tasks import FeatureMap, Task
from construct.theorem1.gains import Gains
from construct.theorem1.stream import same_example, to_bos
from construct.transformer import LayerWeights, MLPWeights, Support


def layer(
    spec: Spec, gains: Gains, residual: Residual, tasks: list[Task], feature_map: FeatureMap | None
) -> LayerWeights:
    """The weights of Commit."""
    # The n - 1 inputs of the own example tie; its label and BOS are T behind, all else 2T. The mean
    # times n - 1 is the sum.
    T = gains.T
    idle = T * spec.example_bits * residual["one"] + 3 * T * (residual["one"] - residual["lab"])
    verdict = np.concatenate([residual["z"], residual["count"]])
    head = Head(
        terms=(
            same_example(residual, T),
            Term("input", T * residual["one"], residual["inp"]),
            to_bos(residual, "bos", idle),
        ),
        value=(spec.n - 1) * verdict,
        out=verdict.T,
    )
    heads = banks([head], 1, spec.K, residual, spec.dtype)
    return LayerWeights("commit", heads, Support.EXAMPLE, trapezoid(residual, spec.dtype))


def trapezoid(residual: Residual, dtype: str) -> MLPWeights:
    """The MLP that writes ok = 1 where count is near 1, and 0 where it is near 0 or at
    least 7/4."""
    # Slopes of 2 between quarters: near a count of 1 every product and sum is exact in floats, so
    # all committed labels get the same ok = 1 to the last bit, and Superpose's winners tie. No gate
    # is needed, hence no constant that grows with K.
    corners = np.array([[1 / 4], [3 / 4], [5 / 4], [7 / 4]])
    slopes = np.array([[2.0, -2.0, -2.0, 2.0]])
    return MLPWeights(
        W_1=(residual["count"] - corners * residual["one"]).astype(dtype),
        W_2=(residual["ok"].T @ slopes).astype(dtype),
    )
