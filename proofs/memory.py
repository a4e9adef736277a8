"""The bounds of a memory (`construct.evaluate.memory`): of an answer that the decoding layers give
on one representative a task, and of the affine map that they are.

Merging equal keys changes no exact number, so only rounding has to be counted anew. A memory's
prompt has at most K examples, which is what its bound is that of, and its mean rounds a few times
more: by the multiplicities. Proof: proofs/README.md, section 9. Ours.
"""

import math
from dataclasses import replace
from types import ModuleType

from construct.floats import unit_roundoff
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
    return theorem.errors(_setting(theorem, spec, input_norm))[-1].output


def map_error_bound(theorem: ModuleType, spec: Spec, input_norm: float | None = None) -> float:
    """The same of an answer that the affine map gives to one of many queries."""
    setting = _setting(theorem, spec, input_norm)
    # An entry of the map is no answer, so the radius does not bound what is summed there.
    outputs = spec.weight_norm * setting.feature_norm + spec.bias_norm
    longer = replace(spec, radius=spec.radius + outputs)
    sizes = replace(setting.sizes, output=longer.radius, label=longer.radius)
    layers = theorem.errors(replace(setting, spec=longer, sizes=sizes))[-1].output
    roundings = spec.r * (spec.n - 1) + 2 * math.ceil(math.log2(spec.K)) + 8
    return layers + setting.gamma(roundings) * outputs


def _setting(theorem: ModuleType, spec: Spec, input_norm: float | None) -> Setting:
    """The representatives' prompt. A value is multiplied by its multiplicity (1); from 1/u examples
    on, the multiplicity rounds too (1), and their sum by halves (ceil(log2 K))."""
    setting: Setting = theorem.setting(spec, tokens(spec), input_norm)
    exact = spec.m * unit_roundoff(spec.dtype) <= 1
    return replace(setting, merged=1 if exact else 2 + math.ceil(math.log2(spec.K)))
