"""Cases of Theorem 4: two shapes, so that its layers compile twice, with tasks and prompts of their
own; and the case that its tests strike faults on."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st

from construct import Spec
from construct.generator import Generator
from construct.words import WordPrompt, WordTask
from tests.mutants import theorem4 as edge
from verify.theorem import ALL, Theorem
from verify.theorem4.definition import Verdict, judge
from verify.theorem4.draw import KINDS, Impossible, Instance, draw_instance, draw_prompt

THEOREM = ALL[4]


@dataclass(frozen=True)
class Shape:
    """What decides how a transformer compiles."""

    K: int
    d: int
    m: int
    S: int
    L: int
    dtype: str = "float32"


SHAPES = (Shape(4, 6, 8, 2, 3), Shape(3, 4, 4, 1, 2, "float64"))


@dataclass(frozen=True)
class Case:
    """A recipe of tasks and a prompt of all m examples, drawn when they are first read. said: words
    of the answer that stand already. soft: as the mixture of what the tasks say."""

    shape: Shape
    seed: int
    kind: str
    fallback: bool
    said: int
    soft: bool = False

    theorem: Theorem = THEOREM

    @cached_property
    def instance(self) -> Instance:
        """The tasks and their Spec."""
        shape, rng = self.shape, np.random.default_rng(self.seed)
        n = shape.S + 1 + shape.L
        sizes = {"K": shape.K, "d": shape.d, "m": shape.m, "n": n, "L": shape.L}
        more = {"blanks": 0.1, "fallback": self.fallback, "dtype": shape.dtype}
        try:
            return draw_instance(rng, **sizes, kind=self.kind, **more)
        except Impossible:  # there are not always K twins
            return draw_instance(rng, **sizes, kind="free", **more)

    @cached_property
    def prompts(self) -> list[WordPrompt]:
        """One prompt."""
        rng, spec = np.random.default_rng(self.seed + 1), self.spec
        prompt = draw_prompt(rng, self.instance, noise=None, empty=0.05, said=self.said)
        if not self.soft:
            return [prompt]
        mixed, words = prompt.after(()), np.zeros((0, spec.d))
        for _ in range(self.said):
            verdict = judge(self.tasks, mixed, spec.m, spec.fallback)
            words = np.concatenate([words, verdict.vector[None]])
            mixed = prompt.after(words)
        return [mixed]

    @property
    def spec(self) -> Spec:
        """The Spec of the tasks."""
        return self.instance.spec

    @property
    def tasks(self) -> list[WordTask]:
        """The tasks."""
        return self.instance.tasks

    @cached_property
    def model(self) -> Generator:
        """The transformer."""
        return self.theorem.build(self.spec, self.tasks)

    def verdict(self, prompt: WordPrompt) -> Verdict:
        """What the definition says of a prompt."""
        return judge(self.tasks, prompt, self.spec.m, self.spec.fallback)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any kind of tasks in any shape, with any number of words said."""
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


def words_of(case: Case, array: np.ndarray) -> np.ndarray:
    """A subspace (N, size) at the arrow and the words of every example: (m', L + 1, size)."""
    spec, examples = case.spec, case.prompts[-1].examples
    lines = array[1 : 1 + examples * spec.n].reshape(examples, spec.n, -1)
    return lines[:, spec.n - 1 - spec.L :]


def said_by(case: Case) -> np.ndarray:
    """By example, word and task, whether the task says that word: (m', L, K)."""
    prompt = case.prompts[-1]
    found = np.zeros((prompt.examples, case.spec.L, case.spec.K), bool)
    for j, (inputs, answer) in enumerate(zip(prompt.inputs, prompt.answers, strict=True)):
        for i, task in enumerate(case.tasks):
            about = inputs[task.slot]
            if about >= 0:
                found[j, :, i] = (task.words[:, about] == answer) & (answer >= 0)
    return found
