"""The suites, one a theorem: what to strike, and the prompts on which verification must see it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Protocol

import numpy as np

from construct import Prompt, Task, Transformer
from tests.mutants.fault import Fault
from verify.check import check_lemmas, check_structure
from verify.draw import Instance
from verify.ideal import Stream
from verify.theorem import ALL, Theorem
from verify.theorem4.vectors import THEOREM4_VECTORS


class Edge(Protocol):
    """What a module tests/mutants/theoremN.py has.

    instance, prompts: tasks and prompts at the edge of the theorem's hypotheses, for a dtype and a
    coldness. faults: those that only this theorem's weights can have. SLOT_LAYERS, TASK_LAYERS: the
    layers that know a task's slot, and its matrix. EQUIVALENT: the faults, by layer and name, that
    change no answer. TOLD_IN: the file that says how many there are.

    SHOWS: by source of error (`leaks`, `rounds`) and layer, the subspaces in which a lemma without
    it is refuted. FEATURE_LAYERS: the ones that only tasks with features try. LENGTHS: of the other
    layers' prompts, few examples, whose mean hides no rounding. holds_output(layer, ideal): the
    tokens whose y is an output after that layer.
    """

    instance: Callable[..., Instance]
    prompts: Callable[..., Sequence[Prompt]]
    faults: Callable[[Transformer], Iterator[Fault]]
    SLOT_LAYERS: tuple[str, ...]
    TASK_LAYERS: tuple[str, ...]
    EQUIVALENT: set[tuple[str, str]]
    TOLD_IN: str
    SHOWS: Mapping[str, Mapping[str, str]]
    FEATURE_LAYERS: tuple[str, ...]
    LENGTHS: tuple[int, ...]
    holds_output: Callable[[str, Stream], np.ndarray]


@dataclass(frozen=True)
class Suite:
    """A theorem, and the module that says what to strike and where to see it."""

    theorem: Theorem
    edge: Edge

    @property
    def instance(self) -> Instance:
        """The tasks and the Spec."""
        return self.edge.instance()

    def build(
        self, tasks: Sequence[Task] | None = None, coldness: float | None = None
    ) -> Transformer:
        """The theorem's transformer, for other tasks or another coldness if told."""
        one = self.instance
        spec = one.spec if coldness is None else replace(one.spec, coldness=coldness)
        return self.theorem.build(spec, one.tasks if tasks is None else tasks, one.feature_map)

    def first_fault(self, model: Transformer) -> str | None:
        """The first layer at fault, in structure or on any prompt; None if verification
        finds none."""
        one, order = self.instance, [layer.name for layer in model.layers]
        wrong = check_structure(self.theorem, model, one.spec)
        if self.theorem.check_weights is not None:
            wrong += self.theorem.check_weights(model, one.tasks, one.feature_map)
        blamed = [name for name in order for fault in wrong if name in _words(fault)]
        for prompt in self.edge.prompts():
            lemmas = check_lemmas(self.theorem, model, one.tasks, prompt, one.feature_map)
            blamed += [lemma.name for lemma in lemmas if not lemma.holds]
        return min(blamed, key=order.index, default=None)


def _words(fault: str) -> list[str]:
    return fault.replace(":", " ").split()


SUITES = (
    *(
        Suite(theorem, import_module(f"tests.mutants.theorem{number}"))
        for number, theorem in ALL.items()
    ),
    Suite(THEOREM4_VECTORS, import_module("tests.mutants.theorem4_vectors")),
)
