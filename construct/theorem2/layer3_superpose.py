"""Layer 3, Superpose: the answer token averages the outputs of all inputs with ok = 1. Realizes
Lemma 3.

    score(k)    = C (ok_k - 1)                              for k other than BOS
    BOS         : -(T + C omega) + (4T + 2 C omega) (one - qry + inp)_q
    value       = y -> y

omega bounds the leak of ok: the winners tie up to 2 C omega only. One head; the others are idle.
"""

from construct.heads import Head, Term, banks
from construct.layers import LayerWeights, Support
from construct.residual import Residual
from construct.scores import to_bos
from construct.spec import Spec
from construct.tasks import FeatureMap, Task
from construct.theorem2.gains import Gains


def layer(
    spec: Spec, gains: Gains, residual: Residual, tasks: list[Task], feature_map: FeatureMap | None
) -> LayerWeights:
    """The weights of Superpose."""
    # Winners score within C omega of 0, BOS T behind the last of them, all else 3T. With no winner
    # BOS leads by 2T: "no evidence". Whoever is not the answer sees BOS raised by 4T + 2 C omega or
    # more: above the winners by 2T.
    T, one = gains.T, residual["one"]
    below = T + gains.C * gains.omega
    committed = gains.C * (residual["ok"] - (one - residual["bos"])) - below * residual["bos"]
    head = Head(
        terms=(
            Term("committed", one, committed),
            to_bos(
                residual, "idle", (2 * T + 2 * below) * (one - residual["qry"] + residual["inp"])
            ),
        ),
        value=residual["y"],
        out=residual["y"].T,
    )
    return LayerWeights("superpose", banks([head], 1, spec.K, residual, spec.dtype), Support.INPUTS)
