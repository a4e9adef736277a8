"""Layer 1, Recognize: an answer word fetches its line's inputs, and sees which tasks say it.
Realizes Lemma 1.

    score(q, k) = T (<e_q, e_k> + <code(p), s_k>)           one head a slot p that some task reads
    BOS         : T L' - T + 3T (one - a_0 - ... - a_L)_q,  L' position bits
    value       = x -> own[p]
    MLP         : w_i += k relu(z) - k relu(z - 1/k),  z = own[p_i]_v + (W_i^(u)^T x)_v + a_u - 2

over words v, and u = 1..L. At the u-th word z is positive only for the v that the line has in slot
p_i, and there it is the weight in x of the word that task i says: w_i = 1 from a weight of 1/k on.

Hypotheses: inputs and answers are words or blank; a soft word's weights are 0 or at least 1/m.
"""

from collections.abc import Iterator

import numpy as np

from construct.heads import Head, Term, banks
from construct.layers import LayerWeights, MLPWeights, Support
from construct.residual import Residual, position_code
from construct.scores import same_example, to_bos
from construct.spec import Spec
from construct.theorem4.gains import Gains, LineGains
from construct.words import WordTask


def layer(spec: Spec, gains: Gains, residual: Residual, tasks: list[WordTask]) -> LayerWeights:
    """The weights of Recognize."""
    slots = sorted({task.slot for task in tasks})
    heads = banks(fetch(spec, gains, residual, slots), len(slots), spec.K, residual, spec.dtype)
    return LayerWeights(
        "recognize", heads, Support.EXAMPLE, _match(spec, gains, residual, tasks), causal=True
    )


def fetch(spec: Spec, gains: LineGains, residual: Residual, slots: list[int]) -> Iterator[Head]:
    """The heads by which an arrow or a word fetches its line's inputs, one a slot."""
    # The own line's token in slot p stands alone at T L'. BOS is T behind, every other token misses
    # a bit and is 2T behind. Inputs and BOS ask for nothing: BOS leads there by 2T.
    T, one, bits = gains.T, residual["one"], spec.example_bits + spec.slot_bits
    asks = np.sum([residual[f"a{u}"] for u in range(spec.L + 1)], axis=0)
    for slot in slots:
        code = position_code(slot, spec.slot_bits)[None] @ residual["s"]
        where = slice(slot * spec.d, (slot + 1) * spec.d)
        yield Head(
            terms=(
                same_example(residual, T),
                Term("slot", one, T * code),
                to_bos(residual, "bos", T * (bits - 1) * one),
                to_bos(residual, "elsewhere", 3 * T * (one - asks)),
            ),
            value=residual["x"],
            out=residual["own"][where].T,
        )


def _match(spec: Spec, gains: Gains, residual: Residual, tasks: list[WordTask]) -> MLPWeights:
    # k is a power of two: where z is 1 or 0, both units are exact, and w is exactly 1 or 0.
    k, d = gains.slope, spec.d
    W_1 = np.zeros((2, spec.K, spec.L, d, residual.dim))
    W_2 = np.zeros((residual.dim, 2, spec.K, spec.L, d))
    x, own, w = (residual.where(name) for name in ("x", "own", "w"))
    for i, task in enumerate(tasks):
        first = own.start + task.slot * d
        for u, matrix in enumerate(task.matrices):
            W_1[:, i, u, :, first : first + d] = np.eye(d)
            W_1[:, i, u, :, x] = matrix.T
        W_1[:, i] += np.stack([residual[f"a{u}"] for u in range(1, spec.L + 1)])
        W_2[w.start + i, 0, i], W_2[w.start + i, 1, i] = k, -k
    W_1[0] -= 2 * residual["one"][0]
    W_1[1] -= (2 + 1 / k) * residual["one"][0]
    return MLPWeights(
        W_1=W_1.reshape(-1, residual.dim).astype(spec.dtype),
        W_2=W_2.reshape(residual.dim, -1).astype(spec.dtype),
    )
