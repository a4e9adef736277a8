"""Layer 2, Recognize: an input that task i explains replaces its label by the task's output on the
query. Realizes Lemma 2.

    r_i(h)      = W_i f + b_i inp - y
    score(q, k) = P2 (<e_q, e_k> + <s_q, s_k>) - beta <r_i(q), r_i(k)>
    BOS         : P2 L - T0 + (T0 + 2T) (one - inp + qry + [slot differs])_q
    value       = W_i h + b_i inp - y -> y,  inp -> ok

The scores are those of Theorem 1's Recognize.

Hypotheses: every residual is at most rho or at least delta, no residual of any token is longer than
2R, and no example is explained by two tasks (its ok would be 2, and would capture the whole
answer).
"""

from collections.abc import Iterator

import numpy as np

from construct.heads import Head, banks
from construct.layers import LayerWeights, Support
from construct.residual import Residual
from construct.scores import explained_by
from construct.spec import Spec
from construct.tasks import FeatureMap, Task
from construct.theorem2.gains import Gains


def layer(
    spec: Spec, gains: Gains, residual: Residual, tasks: list[Task], feature_map: FeatureMap | None
) -> LayerWeights:
    """The weights of Recognize."""
    heads = banks(_heads(spec, gains, residual, tasks), spec.K, spec.K, residual, spec.dtype)
    return LayerWeights("recognize", heads, Support.SELF)


def _heads(spec: Spec, gains: Gains, residual: Residual, tasks: list[Task]) -> Iterator[Head]:
    out = np.concatenate([residual["y"], residual["ok"]]).T
    for task in tasks:
        replace = task.weight @ residual["h"] + np.outer(task.bias, residual["inp"]) - residual["y"]
        yield Head(
            terms=explained_by(spec, gains, residual, task),
            value=np.concatenate([replace, residual["inp"]]),
            out=out,
        )
