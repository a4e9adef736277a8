"""The suites by theorem: what to strike, and the prompts on which verification must see it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from construct import Prompt, Task, Transformer
from tests.mutants import theorem1, theorem2, theorem3
from verify.check import THEOREM1, check_prompt, check_structure
from verify.draw import Instance
from verify.theorem import Theorem
from verify.theorem2 import THEOREM2
from verify.theorem3 import THEOREM3


@dataclass(frozen=True)
class Suite:
    """A theorem's suite: `make` and `prompts` take a dtype and a coldness, if not the default ones.
    slot_layers, task_layers: the layers that know a task's slot, and its matrix."""

    theorem: Theorem
    make: Callable[..., Instance]
    prompts: Callable[..., Sequence[Prompt]]
    slot_layers: tuple[str, ...]
    task_layers: tuple[str, ...]

    @property
    def instance(self) -> Instance:
        """The tasks and the Spec."""
        return self.make()

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
        wrong = check_structure(model, one.spec, self.theorem)
        blamed = [name for name in order for fault in wrong if name in fault.split()]
        for prompt in self.prompts():
            lemmas = check_prompt(model, one.tasks, prompt, one.feature_map, theorem=self.theorem)
            blamed += [lemma.name for lemma in lemmas if not lemma.holds]
        return min(blamed, key=order.index, default=None)


GATES = ("balance", "open", "correct")
SUITES = (
    Suite(
        THEOREM1,
        theorem1.instance,
        theorem1.prompts,
        ("recognize", "fetch"),
        ("recognize", "execute"),
    ),
    Suite(THEOREM2, theorem2.instance, theorem2.prompts, ("recognize",), ("recognize",)),
    Suite(
        THEOREM3, theorem3.instance, theorem3.prompts, ("recognize", *GATES), ("recognize", *GATES)
    ),
)
