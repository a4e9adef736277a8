"""Cases of Theorem 4 on vectors: two shapes, so that its layers compile twice, with tasks and
prompts of their own; and the case that its tests strike faults on."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st

from construct import Spec
from construct.vector_generator import VectorGenerator
from construct.vectors import VectorPrompt, VectorTask
from tests.mutants import theorem4_vectors as edge
from tests.theorem4.cases import Shape
from verify.record import Theorem
from verify.theorem4.vectors import THEOREM4_VECTORS
from verify.theorem4.vectors.definition import Verdict, judge
from verify.theorem4.vectors.draw import KINDS, Instance, draw_instance, draw_prompt

SHAPES = (Shape(4, 5, 8, 2, 3), Shape(3, 4, 4, 1, 2, "float64"))


@dataclass(frozen=True)
class Case:
    """A recipe of tasks and a prompt of all m examples, drawn when they are first read. said:
    vectors of the answer that stand already. soft: as the mixture of what the tasks say."""

    shape: Shape
    seed: int
    kind: str
    fallback: bool
    said: int
    soft: bool = False

    theorem: Theorem = THEOREM4_VECTORS

    @cached_property
    def instance(self) -> Instance:
        """The tasks and their Spec."""
        shape, rng = self.shape, np.random.default_rng(self.seed)
        sizes = {"K": shape.K, "d": shape.d, "m": shape.m, "n": shape.S + 1 + shape.L}
        more = {"L": shape.L, "fallback": self.fallback, "dtype": shape.dtype}
        return draw_instance(rng, kind=self.kind, **sizes, **more)

    @cached_property
    def prompts(self) -> list[VectorPrompt]:
        """One prompt."""
        rng = np.random.default_rng(self.seed + 1)
        prompt = draw_prompt(rng, self.instance, noise=None, ambiguous=1, said=self.said)
        if not self.soft:
            return [prompt]
        first = judge(self.spec, self.tasks, prompt.after(()))
        mixed = [
            sum(
                weight * task.matrices[u] @ prompt.query[task.slot]
                for weight, task in zip(first.prevalence, self.tasks, strict=True)
            )
            for u in range(self.said)
        ]
        return [prompt.after(mixed, soft=True)]

    @property
    def spec(self) -> Spec:
        """The Spec of the tasks."""
        return self.instance.spec

    @property
    def tasks(self) -> list[VectorTask]:
        """The tasks."""
        return self.instance.tasks

    @cached_property
    def model(self) -> VectorGenerator:
        """The transformer."""
        return self.theorem.build(self.spec, self.tasks)

    def verdict(self, prompt: VectorPrompt) -> Verdict:
        """What the definition says of a prompt."""
        return judge(self.spec, self.tasks, prompt)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any kind of tasks in any shape, with any number of vectors said."""
    shape = draw(st.sampled_from(SHAPES))
    return Case(
        shape,
        draw(st.integers(0, 2**32 - 2)),
        draw(st.sampled_from(KINDS)),
        draw(st.booleans()),
        draw(st.integers(0, shape.L - 1)),
        draw(st.booleans()),
    )


CASES = cases()


class _Edge(Case):
    """The tasks and a prompt that the faults of `tests.mutants` are struck on."""

    instance = property(lambda self: edge.instance())
    prompts = property(lambda self: [edge.prompts()[self.said]])


RANDOM = _Edge(SHAPES[0], 0, "free", False, 1)
SOFT = _Edge(SHAPES[0], 0, "free", False, 0)


def vectors_of(case: Case, array: np.ndarray) -> np.ndarray:
    """A subspace (N, size) at the arrow and the vectors of every example: (m', L + 1, size)."""
    spec, examples = case.spec, case.prompts[-1].examples
    lines = array[1 : 1 + examples * spec.n].reshape(examples, spec.n, -1)
    return lines[:, spec.n - 1 - spec.L :]
