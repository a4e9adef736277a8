"""Layer 3, Recognize: head i weighs an example by the squared residual of its own task. Realizes
Lemma 3.

    r_i(h)      = W_i f + b_i inp - y
    score(q, k) = P2 (<e_q, e_k> + <s_q, s_k>) - beta <r_i(q), r_i(k)>
    BOS         : P2 L - T0 + (T0 + 2T + beta theta) (one - inp + qry + [slot differs])_q
    value       = c_i inp -> z,  inp -> count

Hypotheses: every residual is at most rho or at least delta, and no residual of any token is longer
than 2R.
"""

from collections.abc import Iterator

import numpy as np

from construct.heads import Head, banks
from construct.layers import LayerWeights, Support
from construct.residual import Residual, task_codes
from construct.scores import explained_by
from construct.spec import Spec
from construct.tasks import FeatureMap, Task
from construct.theorem1.gains import Gains


def layer(
    spec: Spec, gains: Gains, residual: Residual, tasks: list[Task], feature_map: FeatureMap | None
) -> LayerWeights:
    """The weights of Recognize."""
    heads = banks(_heads(spec, gains, residual, tasks), spec.K, spec.K, residual, spec.dtype)
    return LayerWeights("recognize", heads, Support.SELF)


def _heads(spec: Spec, gains: Gains, residual: Residual, tasks: list[Task]) -> Iterator[Head]:
    out = np.concatenate([residual["z"], residual["count"]]).T
    for task, code in zip(tasks, task_codes(spec.K), strict=True):
        yield Head(
            terms=explained_by(spec, gains, residual, task),
            value=np.concatenate([np.outer(code, residual["inp"]), residual["inp"]]),
            out=out,
        )
