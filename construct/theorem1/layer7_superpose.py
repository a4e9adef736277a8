"""Layer 7, Superpose: the answer token averages the outputs of all committed labels. Realizes Lemma
7.

    score(k)    = 3T (ok_k - inp_k - 1)                       for k other than BOS
    BOS         : -T + 3T (one - qry + inp)_q
    value       = y -> y

The even mean over examples is the superposition weighted by prevalence. One head; the others are
idle.
"""

import numpy as np
from jaxtyping import Float

from construct.heads import Head, Term, banks
from construct.residual import Residual
from construct.spec import Spec
from construct.tasks import FeatureMap, Task
from construct.theorem1.gains import Gains
from construct.theorem1.stream import to_bos
from construct.transformer import LayerWeights, Support


def layer(
    spec: Spec, gains: Gains, residual: Residual, tasks: list[Task], feature_map: FeatureMap | None
) -> LayerWeights:
    """The weights of Superpose."""
    # An input may have ok = 1 too (its slot's own verdict); subtracting inp puts it back among the
    # losers.
    head = mean_of_committed(residual, gains.T, residual["ok"] - residual["inp"], "y")
    return LayerWeights("superpose", banks([head], 1, spec.K, residual, spec.dtype), Support.LABELS)


def mean_of_committed(
    residual: Residual, T: float, flag: Float[np.ndarray, "1 D"], subspace: str
) -> Head:
    """The head by which the answer token averages a subspace over the tokens where a flag reads 1;
    elsewhere it is at most 0."""
    # Committed labels tie at exactly 0, BOS is T behind, all else 3T. With no committed label BOS
    # wins by 2T: "no evidence".
    one = residual["one"]
    committed = flag - (one - residual["bos"])
    return Head(
        terms=(
            Term("committed", one, 3 * T * committed - T * residual["bos"]),
            to_bos(residual, "idle", 3 * T * (one - residual["qry"] + residual["inp"])),
        ),
        value=residual[subspace],
        out=residual[subspace].T,
    )
