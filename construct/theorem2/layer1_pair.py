"""Layer 1, Pair: every example input reads its own label and the query's token of its own slot, at
once. Realizes Lemma 1.

    key_e       = e - code(m) qry,  key_s = s - code(n-1) lab
    score(q, k) = T (<e_q, key_e> + <s_q, key_s>) + T (|s| + 1) lab_k + T (|e| + 1) qry_k
    BOS         : T (L - 1) + 4T (one - inp + qry)_q
    value       = 2 y -> y,  2 x -> q
    MLP         : f = phi(x), h = phi(q), with ReLU features alone

A label answers to its example whatever the slot, a query token to its slot whatever the example.
One head; the others are idle.
"""

import numpy as np

from construct.heads import Head, Term, banks
from construct.layers import LayerWeights, MLPWeights, Support
from construct.residual import Residual, position_code
from construct.scores import example_input, to_bos
from construct.spec import Spec
from construct.tasks import FeatureMap, Task
from construct.theorem2.gains import Gains


def layer(
    spec: Spec, gains: Gains, residual: Residual, tasks: list[Task], feature_map: FeatureMap | None
) -> LayerWeights:
    """The weights of Pair."""
    # Two winners tie at T (L + 1): the own label, T |e| + 0 + T (|s| + 1), and the own slot's query
    # token, 0 + T |s| + T (|e| + 1). The token itself scores T L, one T behind. Other labels and
    # query tokens are 2T behind, and so is BOS; other inputs 3T. Twice a weight of 1/2 is 1, and
    # nothing mixes: a label holds x = 0 and a query token y = 0.
    T, one, e, s = gains.T, residual["one"], spec.example_bits, spec.slot_bits
    by_example = residual["e"] - np.outer(position_code(spec.m, e), residual["qry"])
    by_slot = residual["s"] - np.outer(position_code(spec.n - 1, s), residual["lab"])
    head = Head(
        terms=(
            Term("example", T * residual["e"], by_example),
            Term("slot", T * residual["s"], by_slot),
            Term("kind", T * one, (s + 1) * residual["lab"] + (e + 1) * residual["qry"]),
            to_bos(
                residual, "bos", T * (e + s - 1) * one + 4 * T * (one - example_input(residual))
            ),
        ),
        value=2 * np.concatenate([residual["y"], residual["x"]]),
        out=np.concatenate([residual["y"], residual["q"]]).T,
    )
    mlp = None if feature_map is None else _features(residual, feature_map, spec.dtype)
    return LayerWeights(
        "pair", banks([head], 1, spec.K, residual, spec.dtype), Support.EXAMPLE_AND_QUERY, mlp
    )


def _features(residual: Residual, feature_map: FeatureMap, dtype: str) -> MLPWeights:
    # The bias enters through inp: a token that is no input holds x = q = 0 and inp = 0, so its
    # features are 0. A query token carries no q: c - |c| <= 0 keeps its h at 0 too.
    bias = np.outer(feature_map.bias, residual["inp"])
    carried = bias - np.outer(np.abs(feature_map.bias), residual["qry"])
    read = np.concatenate(
        [feature_map.weight @ residual["x"] + bias, feature_map.weight @ residual["q"] + carried]
    )
    return MLPWeights(
        W_1=read.astype(dtype), W_2=np.concatenate([residual["f"], residual["h"]]).T.astype(dtype)
    )
