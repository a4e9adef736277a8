"""Layer 1, Recognize: head i of a label looks at its example's input in slot p_i, by inner product.
Realizes Lemma 1.

    score(q, k) = P2 (<e_q, e_k> + <code(p_i), s_k>) + 2 beta <y_q, W_i x_k + b_i inp_k>
    BOS         : P2 L + 2 beta - T0 + max(T0 + 2T - 2 beta, 0) (one - lab)_q
    value       = inp -> w_i,  inp -> count
    MLP         : ok = trapezoid(count), as in Theorem 1's Commit

Hypotheses: ||W_i x + b_i|| = ||y|| = 1 up to the norm tolerance, so that 2 <y, W_i x + b_i> = 2 -
||r||^2; every residual is at most rho or at least delta; no output in any slot is longer than R.
Causal: a label comes after its inputs.
"""

from collections.abc import Iterator

import numpy as np

from construct.heads import Head, Term, banks
from construct.layers import LayerWeights, Support
from construct.residual import Residual, position_code
from construct.scores import same_example, to_bos, trapezoid
from construct.spec import Spec
from construct.tasks import Task
from construct.theorem3.gains import Gains


def layer(spec: Spec, gains: Gains, residual: Residual, tasks: list[Task]) -> LayerWeights:
    """The weights of Recognize."""
    heads = banks(_heads(spec, gains, residual, tasks), spec.K, spec.K, residual, spec.dtype)
    return LayerWeights(
        "recognize", heads, Support.EXAMPLE, trapezoid(residual, spec.dtype), causal=True
    )


def _heads(spec: Spec, gains: Gains, residual: Residual, tasks: list[Task]) -> Iterator[Head]:
    # The input in slot p_i leads BOS by T0 - beta ||r||^2, up to the norms: T if the task explains
    # the example, -T if not. Every other token misses at least one bit: 2 P2 less, which outweighs
    # any inner product. Other tokens than labels have y = 0, so their keys score P2 L at most: 2
    # beta - T0 below BOS, which is raised by what that lacks of 2T.
    one, L = residual["one"], spec.example_bits + spec.slot_bits
    for i, task in enumerate(tasks):
        slot = position_code(task.slot, spec.slot_bits)[None] @ residual["s"]
        output = task.weight @ residual["x"] + np.outer(task.bias, residual["inp"])
        yield Head(
            terms=(
                same_example(residual, gains.P2),
                Term("slot", one, gains.P2 * slot),
                Term("agreement", 2 * gains.beta * residual["y"], output),
                to_bos(residual, "threshold", (gains.P2 * L + 2 * gains.beta - gains.T0) * one),
                to_bos(residual, "elsewhere", gains.recognize_raise * (one - residual["lab"])),
            ),
            value=residual["inp"],
            out=(residual["w"][i : i + 1] + residual["count"]).T,
        )
