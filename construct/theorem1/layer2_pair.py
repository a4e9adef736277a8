"""Layer 2, Pair: every example input reads the label of its example. Realizes Lemma 2.

    score(q, k) = T <e_q, e_k> + T lab_k                    BOS: T |e| + 3T (one - inp + qry)_q
    value       = y -> y

One head; the others are idle.
"""

from construct.heads import Head, Term, banks
from construct.layers import LayerWeights, Support
from construct.residual import Residual
from construct.scores import example_input, same_example, to_bos
from construct.spec import Spec
from construct.tasks import FeatureMap, Task
from construct.theorem1.gains import Gains


def layer(
    spec: Spec, gains: Gains, residual: Residual, tasks: list[Task], feature_map: FeatureMap | None
) -> LayerWeights:
    """The weights of Pair."""
    # The own label stands alone at T|e| + T: the rest of its example and BOS are T behind, all
    # other labels 2T. A token that is no example input has one - inp + qry >= 1, and loses to BOS
    # by 2T.
    T = gains.T
    idle = T * spec.example_bits * residual["one"] + 3 * T * (
        residual["one"] - example_input(residual)
    )
    head = Head(
        terms=(
            same_example(residual, T),
            Term("label", T * residual["one"], residual["lab"]),
            to_bos(residual, "bos", idle),
        ),
        value=residual["y"],
        out=residual["y"].T,
    )
    return LayerWeights("pair", banks([head], 1, spec.K, residual, spec.dtype), Support.EXAMPLE)
