"""The bounds of a memory (`construct.evaluate.memory`): of an answer that the decoding layers give
on one representative a task, and of the affine map that they are.

Merging equal keys changes no exact number, so only rounding has to be counted anew. A memory's
prompt has at most K examples, which is what its bound is that of; and the multiplicities round
less than the mean over so many tokens is charged for. Proof: proofs/README.md, section 9. Ours.
"""

import math
from dataclasses import replace
from types import ModuleType

from construct.spec import Spec
from proofs.selection import Setting


def tokens(spec: Spec) -> int:
    """The tokens of the representatives' prompt: BOS, one example a task, the query."""
    return 1 + (spec.K + 1) * spec.n


def error_bound(theorem: ModuleType, spec: Spec, input_norm: float | None = None) -> float:
    """How far an answer to one query can be from sum_i (m_i/M) g_i(X), in max norm.

    theorem: `proofs.theorem1` or another's package. input_norm: of the longest input, as in its
    `error_bound`. Holds for a hard softmax, which a certificate asks for.
    """
    return theorem.error_bound(spec, tokens(spec), input_norm)


def map_error_bound(theorem: ModuleType, spec: Spec, input_norm: float | None = None) -> float:
    """The same of an answer that the affine map gives to one of many queries."""
    setting: Setting = theorem.setting(spec, tokens(spec), input_norm)
    # An entry of the map is no answer, so the radius does not bound what is summed there.
    outputs = spec.weight_norm * setting.feature_norm + spec.bias_norm
    longer = replace(spec, radius=spec.radius + outputs)
    layers = theorem.errors(replace(setting, spec=longer))[-1].output
    roundings = spec.r * (spec.n - 1) + 2 * math.ceil(math.log2(spec.K)) + 8
    return layers + setting.gamma(roundings) * outputs
