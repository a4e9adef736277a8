"""Layer 4, Commit: the label gathers its example's verdict and commits if exactly one task explains
it. Realizes Lemma 4.

    score(q, k) = T <e_q, e_k> + T inp_k                    BOS: T |e| + 3T (one - lab)_q
    value       = (n - 1) (z, count) -> (z, count)
    MLP         : ok = trapezoid(count), 0 up to 1/4, 1 on [3/4, 5/4], 0 from 7/4 on

An input's ok says the same of its own slot; only a label's is ever asked for.
"""

import numpy as np

from construct.heads import Head, Term, banks
from construct.layers import LayerWeights, Support
from construct.residual import Residual
from construct.scores import same_example, to_bos, trapezoid
from construct.spec import Spec
from construct.tasks import FeatureMap, Task
from construct.theorem1.gains import Gains


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
