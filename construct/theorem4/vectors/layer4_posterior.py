"""Layer 4, Posterior: every arrow and vector reads the prevalence of each task among the examples
that it could belong to, and performs. Realizes Lemma 4 on vectors.

    head        : that of words
    gated MLP   : y += relu(omega_i + 2 a_(t-1) - 2 one) W_i^(t) own[p_i]

over tasks i and t = 1..L: the gate of the place that comes next passes on omega_i, the others are
shut, and the product is exact.
"""

import numpy as np

from construct.heads import banks
from construct.layers import LayerWeights, MLPWeights, Support
from construct.residual import Residual
from construct.spec import Spec
from construct.theorem4.layer4_posterior import posterior
from construct.theorem4.vectors.gains import Gains
from construct.theorem4.vectors.layer1_recognize import gated
from construct.vectors import VectorTask


def layer(spec: Spec, gains: Gains, residual: Residual, tasks: list[VectorTask]) -> LayerWeights:
    """The weights of Posterior."""
    return LayerWeights(
        "posterior",
        banks([posterior(spec, gains, residual)], 1, spec.K, residual, spec.dtype),
        Support.LABELS,
        _perform(spec, residual, tasks),
        causal=True,
    )


def _perform(spec: Spec, residual: Residual, tasks: list[VectorTask]) -> MLPWeights:
    d, shape = spec.d, (spec.K, spec.L, spec.d, residual.dim)
    gate, content = np.zeros(shape), np.zeros(shape)
    for i, task in enumerate(tasks):
        own = slice(task.slot * d, (task.slot + 1) * d)
        for t, matrix in enumerate(task.matrices):
            gate[i, t] = residual["omega"][i] + 2 * (residual[f"a{t}"] - residual["one"])
            content[i, t] = matrix @ residual["own"][own]
    return gated(residual, spec.dtype, gate, content, np.broadcast_to(residual["y"], shape))
