"""Layer 6, Execute: a label committed to task i replaces itself by the task's output on the query.
Realizes Lemma 6.

    score(q, k) = T (<e_q, e_k> + <s_q, s_k> - L)             for k other than BOS; BOS as in Fetch
    value       = W_i f + b_i lab - y -> y

Each example has now performed its own task on the query.
"""

from collections.abc import Iterator

import numpy as np

from construct.heads import Head, Term, banks
from construct.layers import LayerWeights, Support
from construct.residual import Residual, task_codes
from construct.scores import same_token
from construct.spec import Spec
from construct.tasks import FeatureMap, Task
from construct.theorem1.gains import Gains
from construct.theorem1.layer5_fetch import gate


def layer(
    spec: Spec, gains: Gains, residual: Residual, tasks: list[Task], feature_map: FeatureMap | None
) -> LayerWeights:
    """The weights of Execute."""
    heads = banks(_heads(spec, gains, residual, tasks), spec.K, spec.K, residual, spec.dtype)
    return LayerWeights("execute", heads, Support.SELF)


def _heads(spec: Spec, gains: Gains, residual: Residual, tasks: list[Task]) -> Iterator[Head]:
    L = spec.example_bits + spec.slot_bits
    for task, code in zip(tasks, task_codes(spec.K), strict=True):
        # The token itself scores 0 and every other token at most -2T; the gate decides between it
        # and BOS.
        fold = Term("fold", residual["one"], -gains.T * L * (residual["one"] - residual["bos"]))
        yield Head(
            terms=(same_token(spec, residual, gains.T), fold, *gate(gains, residual, code)),
            value=residual.placed(task.weight, "f")
            + np.outer(task.bias, residual["lab"])
            - residual["y"],
            out=residual["y"].T,
        )
