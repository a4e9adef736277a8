"""Layer 1, Lift: fill the sum slot, then lift inputs to features. Realizes Lemma 1.

    score(q, k) = T <e_q, e_k> + T (inp_k - sum_k)          BOS: T |e| + 3T (one - sum)_q
    value       = (n - 2) x -> x
    MLP         : f = relu(B x + c inp)

Hypotheses: the sum slot holds x = 0 before this layer. Without a sum slot all heads are idle; with
phi the identity the MLP is empty.
"""

import numpy as np

from construct.heads import Head, Term, banks
from construct.layers import LayerWeights, MLPWeights, Support
from construct.residual import Residual
from construct.scores import same_example, to_bos
from construct.spec import Spec
from construct.tasks import FeatureMap, Task
from construct.theorem1.gains import Gains


def layer(
    spec: Spec, gains: Gains, residual: Residual, tasks: list[Task], feature_map: FeatureMap | None
) -> LayerWeights:
    """The weights of Lift."""
    heads = [_sum(spec, gains, residual)] if spec.sum_slot else []
    mlp = None if feature_map is None else _features(residual, feature_map, spec.dtype)
    return LayerWeights(
        "lift", banks(heads, len(heads), spec.K, residual, spec.dtype), Support.EXAMPLE, mlp
    )


def _sum(spec: Spec, gains: Gains, residual: Residual) -> Head:
    # The n - 2 inputs of the own example tie at T|e| + T; its other tokens and BOS are T behind,
    # all else at least 2T. The mean of the inputs times their number is their sum. Everybody but a
    # sum slot loses to BOS by 2T.
    T = gains.T
    inputs = residual["inp"] - residual["sum"]
    idle = T * spec.example_bits * residual["one"] + 3 * T * (residual["one"] - residual["sum"])
    return Head(
        terms=(
            same_example(residual, T),
            Term("input", T * residual["one"], inputs),
            to_bos(residual, "bos", idle),
        ),
        value=(spec.n - 2) * residual["x"],
        out=residual["x"].T,
    )


def _features(residual: Residual, feature_map: FeatureMap, dtype: str) -> MLPWeights:
    # The bias enters through inp: a token that is no input holds x = 0 and inp = 0, so its features
    # are 0.
    weight = residual.placed(feature_map.weight, "x") + np.outer(feature_map.bias, residual["inp"])
    return MLPWeights(W_1=weight.astype(dtype), W_2=residual["f"].T.astype(dtype))
