"""A theorem as the checks see it: how to build it, what its layers must leave behind, and what its
lemmas allow."""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from types import ModuleType

from construct import Spec, Transformer
from construct.gains import CommonGains

# What all three theorems assume of a prompt, in words.
BOUNDED = (
    "Labels, and the output W_i phi(x) + b_i of every task on every input, whatever its "
    "slot, have norm at most R."
)
DECIDED = (
    "Every residual ||g_i(X_j) - y_j|| is at most rho (task i explains example j) or at "
    "least delta."
)


def _nothing(spec: Spec) -> dict[str, int]:
    return {}


@dataclass(frozen=True)
class Theorem:
    """One theorem's parts, layer by layer in order.

    build(spec, tasks, feature_map) gives the transformer, derive(spec) its gains,
    largest_scores(spec, gains) by layer the largest magnitude of a score. checks: by layer, the
    module that says what it must leave behind; lemmas: by layer, the module that states its lemma;
    proof: the package with setting, errors and error_bound. width(spec): D as the statement has it;
    width_bound(spec): its closed form, which `width_formula` spells. blocks(spec): sizes of
    subspaces that Theorem 1's stream does not have.

    layers: by layer, the module that makes its weights. source, statement, hypotheses: whose it is,
    what it says and what it assumes of a prompt, in words. ambiguity: it abstains on an example
    that several tasks explain (else it refuses the prompt). sphere: its tasks preserve the norm,
    and inputs and labels have norm 1. causal: a token sees no token after it.
    """

    number: int
    build: Callable[..., Transformer]
    derive: Callable[[Spec], CommonGains]
    checks: tuple[ModuleType, ...]
    lemmas: tuple[ModuleType, ...]
    proof: ModuleType
    largest_scores: Callable[..., Mapping[str, float]]
    width: Callable[[Spec], int]
    width_bound: Callable[[Spec], float]
    width_formula: Callable[[Spec], str]
    blocks: Callable[[Spec], Mapping[str, int]] = _nothing
    _: KW_ONLY
    layers: tuple[ModuleType, ...]
    source: str
    statement: str
    hypotheses: tuple[str, ...]
    ambiguity: bool = True
    sphere: bool = False
    causal: bool = False
