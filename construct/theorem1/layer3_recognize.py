"""Layer 3, Recognize: head i weighs an example by the squared residual of its own task. Realizes
Lemma 3.

    r_i(h)      = W_i f + b_i inp - y
    score(q, k) = P2 (<e_q, e_k> + <s_q, s_k>) - beta <r_i(q), r_i(k)>
                                                            BOS: P2 L - T0 + (T0 + 2T) (one - inp +
    qry + [slot differs])_q value       = c_i inp -> z,  inp -> count

Hypotheses: every residual is at most rho or at least delta, and no residual of any token is longer
than 2R.
"""

from collections.abc import Iterator

import numpy as np

from construct.gains import Recognizes
from construct.heads import Head, Term, banks
from construct.residual import Residual, task_codes
from construct.spec import Spec
from construct.tasks import FeatureMap, Task
from construct.theorem1.gains import Gains
from construct.theorem1.stream import example_input, other_slot, same_token, to_bos
from construct.transformer import LayerWeights, Support


def layer(
    spec: Spec, gains: Gains, residual: Residual, tasks: list[Task], feature_map: FeatureMap | None
) -> LayerWeights:
    """The weights of Recognize."""
    heads = banks(_heads(spec, gains, residual, tasks), spec.K, spec.K, residual, spec.dtype)
    return LayerWeights("recognize", heads, Support.SELF)


def explained_by(spec: Spec, gains: Recognizes, residual: Residual, task: Task) -> tuple[Term, ...]:
    """The score by which a token attends to itself if this task explains it, and to BOS if not."""
    # The token itself scores P2 L - beta |r|^2: above BOS by T if the task explains the pair, below
    # it by T if not. A residual that points the other way lifts another token by at most beta (2R +
    # kappa)^2, which 2 P2 outweighs.
    L = spec.example_bits + spec.slot_bits
    miss = residual.apply(task.weight, "f") + np.outer(task.bias, residual["inp"]) - residual["y"]
    elsewhere = residual["one"] - example_input(residual) + other_slot(spec, residual, task.slot)
    return (
        same_token(spec, residual, gains.P2),
        Term("residual", -gains.beta * miss, miss),
        to_bos(residual, "threshold", (gains.P2 * L - gains.T0) * residual["one"]),
        to_bos(residual, "elsewhere", gains.recognize_raise * elsewhere),
    )


def _heads(spec: Spec, gains: Gains, residual: Residual, tasks: list[Task]) -> Iterator[Head]:
    out = np.concatenate([residual["z"], residual["count"]]).T
    for task, code in zip(tasks, task_codes(spec.K), strict=True):
        yield Head(
            terms=explained_by(spec, gains, residual, task),
            value=np.concatenate([np.outer(code, residual["inp"]), residual["inp"]]),
            out=out,
        )
