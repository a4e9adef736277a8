"""The record of a theorem: how to build it, what its layers must leave behind, what its lemmas
allow, and what random tasks and prompts it is tried on. `verify.theorem.ALL` lists the records."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from construct import Spec, Transformer
from construct.gains import SelectionGains

# What all theorems assume of a prompt, in words.
BOUNDED = (
    "Labels, and the output W_i phi(x) + b_i of every task on every input, whatever its "
    "slot, have norm at most R."
)
DECIDED = (
    "Every residual ||g_i(X_j) - y_j|| is at most rho (task i explains example j) or at "
    "least delta."
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Theorem:
    """One theorem's parts; what goes by layer stands in the layers' order.

    number: what it is called by. source, statement, hypotheses: whose it is, what it says and what
    it assumes of a prompt, in words.

    build(spec, tasks, feature_map) gives the transformer, derive(spec) its gains,
    largest_scores(spec, gains) by layer the largest magnitude of a score. causal: a token sees no
    token after it.

    layers, lemmas, checks: by layer, the module that makes its weights, the one that states its
    lemma, and the one that says what it must leave behind. proof: the package with setting, errors
    and error_bound.

    width(spec): D as the statement has it; width_bound(spec): its closed form, which
    `width_formula(spec)` spells. subspaces(spec): the sizes of the subspaces that this theorem has
    beside those of every theorem (see `verify.ideal`).

    check_weights(model, tasks, feature_map): what is wrong with the stored weights, entry by entry,
    against the form that the lemmas assume; None where no such form is written down yet.

    options: of the command's options that not every theorem has (`verify.command.OPTIONS`), the
    ones that make sense here. drawn: what `verify.draw.draw_instance` is told of its random tasks,
    beside their sizes.
    """

    number: int
    source: str
    statement: str
    hypotheses: tuple[str, ...]
    build: Callable[..., Transformer]
    derive: Callable[[Spec], SelectionGains]
    largest_scores: Callable[..., Mapping[str, float]]
    causal: bool = False
    layers: tuple[ModuleType, ...]
    lemmas: tuple[ModuleType, ...]
    checks: tuple[ModuleType, ...]
    proof: ModuleType
    width: Callable[[Spec], int]
    width_bound: Callable[[Spec], float]
    width_formula: Callable[[Spec], str]
    subspaces: Callable[[Spec], Mapping[str, int]]
    check_weights: Callable[..., list[str]] | None = None
    options: tuple[str, ...] = ()
    drawn: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Theorem {self.number}"

    @property
    def ambiguity(self) -> bool:
        """Whether it abstains on an example that several tasks explain; else it refuses the
        prompt."""
        return "ambiguous" in self.options
