"""A theorem as the checks see it: how to build it, what its layers must leave behind, and what its lemmas allow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType

from construct import Spec, Transformer
from construct.gains import Cold


def _nothing(spec: Spec) -> dict[str, int]:
    return {}


@dataclass(frozen=True)
class Theorem:
    """One theorem's parts, layer by layer in order.

    build(spec, tasks, feature_map) gives the transformer, derive(spec) its gains. checks: by layer, the module that says what
    it must leave behind; lemmas: by layer, the module that states its lemma; proof: the package with setting, errors and
    error_bound. width(spec): D as the statement has it; width_bound(spec): its closed form, which `width_formula` spells.
    blocks(spec): sizes of subspaces that Theorem 1's stream does not have.
    """

    number: int
    build: Callable[..., Transformer]
    derive: Callable[[Spec], Cold]
    checks: tuple[ModuleType, ...]
    lemmas: tuple[ModuleType, ...]
    proof: ModuleType
    width: Callable[[Spec], int]
    width_bound: Callable[[Spec], float]
    width_formula: Callable[[Spec], str]
    blocks: Callable[[Spec], Mapping[str, int]] = _nothing
