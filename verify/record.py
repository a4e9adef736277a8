"""The record of a theorem: how to build it, what its layers must leave behind, what its lemmas
allow, and what random tasks and prompts it is tried on. `verify.theorem.ALL` lists the records."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

from construct import FeatureMap, Prompt, Spec, Task, Transformer
from construct.gains import SelectionGains
from verify import draw, oracle

# What all theorems assume of a prompt, in words.
BOUNDED = (
    "Labels, and the output W_i phi(x) + b_i of every task on every input, whatever its "
    "slot, have norm at most R."
)
DECIDED = (
    "Every residual ||g_i(X_j) - y_j|| is at most rho (task i explains example j) or at "
    "least delta."
)


@runtime_checkable
class Drawn(Protocol):
    """What a theorem's draw_instance gives: tasks with their Spec."""

    @property
    def spec(self) -> Spec: ...

    @property
    def tasks(self) -> Sequence[Any]: ...

    @property
    def feature_map(self) -> FeatureMap | None: ...


def judge(
    spec: Spec, tasks: Sequence[Task], prompt: Prompt, feature_map: FeatureMap | None = None
) -> oracle.Verdict:
    """What the definition says of a prompt of examples with labels, for a Spec's thresholds."""
    return oracle.judge(tasks, prompt, spec.tolerance, spec.margin, feature_map, spec.sum_slot)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Theorem:
    """One theorem's parts; what goes by layer stands in the layers' order.

    number: what it is called by. version: of Theorem 4, 'vectors' where it reads no words. source,
    statement, hypotheses: whose it is, what it says and what it assumes of a prompt, in words.

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

    judge(spec, tasks, prompt, feature_map): what the definition says of a prompt. ideal: the class
    of the stream that the checks fill in (None: `verify.ideal.Ideal`). draw_instance, draw_prompt:
    its random tasks and prompts. exact: what judge decides holds for real numbers, with nothing to
    enclose in balls.

    n: tokens of an example where none are asked for. shown: by title, what `draw_prompt` is told of
    prompts that the explorer shows beside those of every theorem.

    options: of the command's options that not every theorem has (`verify.command.OPTIONS`), the
    ones that make sense here. drawn: what `verify.draw.draw_instance` is told of its random tasks,
    beside their sizes.
    """

    number: int
    version: str = ""
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
    judge: Callable[..., Any] = judge
    exact: bool = False
    ideal: Callable[..., Any] | None = None
    draw_instance: Callable[..., Any] = draw.draw_instance
    draw_prompt: Callable[..., Any] = draw.draw_prompt
    n: int = 3
    shown: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    drawn: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """What it is called."""
        return f"Theorem {self.number}" + (f" on {self.version}" if self.version else "")

    @property
    def labeled(self) -> bool:
        """Whether its prompts are inputs with labels (`construct.Prompt`), and not lines of
        words."""
        return self.ideal is None

    @property
    def ambiguity(self) -> bool:
        """Whether it abstains on an example that several tasks explain; else it refuses the
        prompt."""
        return "ambiguous" in self.options
