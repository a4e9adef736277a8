"""A family of tasks on words: a vocabulary of one-hot vectors, and each task twice, as a function
of words and as weights.

Why it is exact. Every input and every label is a one-hot vector, and so is every output of a task
in its own slot. Two one-hot vectors are equal or sqrt 2 apart: every residual is 0 or sqrt 2, so
the tolerance is 0 and the margin sqrt 2. The answer, a convex combination of one-hot vectors, is a
probability distribution over the vocabulary.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from construct import checks
from construct.prompt import Prompt
from construct.spec import Spec
from construct.tasks import FeatureMap, Task

Words = tuple[str, ...]
BLANK = ""  # the zero vector: a sum slot before Lift, or a slot beyond a short word


@dataclass(frozen=True, eq=False)
class Family:
    """Tasks on words. `functions` are the tasks as a person would state them, `tasks` the same as
    weights, in the same order.

    vocabulary: the words that have a coordinate, d of them. domain: the words that may stand as
    inputs. slots: n - 1, the inputs of an example. layout: puts the words of an example into the
    slots (BLANK: the zero vector). radius: bounds every output of every task, also in slots that it
    does not read. dtype: the narrowest in which the scores are representable. Raises ValueError
    when names, functions and tasks do not match or a word is listed twice.
    """

    name: str
    vocabulary: Words
    domain: frozenset[str]
    functions: Mapping[str, Callable[[Words], str]]
    tasks: Sequence[Task]
    slots: int
    layout: Callable[[Words], Words] = tuple
    feature_map: FeatureMap | None = None
    sum_slot: bool = False
    radius: float = 1.0
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if len(self.functions) != len(self.tasks):
            raise checks.refuse(
                "tasks",
                f"{len(self.tasks)} tasks",
                f"must be one for each of {len(self.functions)} functions",
                "pass both in order",
            )
        if len(self.coordinate) != len(self.vocabulary):
            twice = next(word for word in self.vocabulary if self.vocabulary.count(word) > 1)
            raise checks.refuse(
                "vocabulary", repr(twice), "must be listed once", "remove the duplicate"
            )

    @property
    def names(self) -> Words:
        """The names of the tasks."""
        return tuple(self.functions)

    @cached_property
    def coordinate(self) -> dict[str, int]:
        """The coordinate of each word."""
        return {word: i for i, word in enumerate(self.vocabulary)}

    def spec(self, m: int) -> Spec:
        """The Spec for prompts of up to m examples. Raises Infeasible (a ValueError) from `build`
        if the dtype is too narrow."""
        # A sum slot holds the sum of n - 2 one-hot vectors, which may all be the same.
        input_radius = max(1.0, self.slots - 1.0) if self.sum_slot else 1.0
        return Spec.of(
            self.tasks,
            m=m,
            n=self.slots + 1,
            margin=math.sqrt(2),
            tolerance=0.0,
            radius=self.radius,
            input_radius=input_radius,
            feature_map=self.feature_map,
            sum_slot=self.sum_slot,
            dtype=self.dtype,
        )

    def vectors(self, words: Iterable[str]) -> Float[np.ndarray, "words d"]:
        """The one-hot vectors of words; zero for BLANK. Raises ValueError for a word that is not in
        the vocabulary."""
        words = list(words)
        vectors = np.zeros((len(words), len(self.vocabulary)))
        for row, word in zip(vectors, words, strict=True):
            if word != BLANK:
                if word not in self.coordinate:
                    raise checks.refuse(
                        "word",
                        repr(word),
                        f"must be in the vocabulary of {self.name}",
                        "see Family.vocabulary",
                    )
                row[self.coordinate[word]] = 1
        return vectors

    def prompt(self, examples: Sequence[tuple[Words, str]], query: Words) -> Prompt:
        """The prompt of (words, label) examples and the query's words. Raises ValueError for an
        unknown word."""
        inputs = np.stack([self.vectors(self.layout(words)) for words, _ in examples])
        return Prompt(
            inputs=inputs,
            labels=self.vectors(label for _, label in examples),
            query=self.vectors(self.layout(query)),
        )

    def explain(self, words: Words, label: str) -> tuple[int, ...]:
        """The tasks that explain an example, from the functions alone."""
        return tuple(
            i for i, function in enumerate(self.functions.values()) if function(words) == label
        )

    def answers(self, words: Words) -> Words:
        """What each task says of a query, from the functions alone."""
        return tuple(function(words) for function in self.functions.values())


def vocabulary(*groups: Iterable[str]) -> Words:
    """The words of several groups, each once, in order of first appearance: a word in two groups is
    one token."""
    return tuple(dict.fromkeys(word for group in groups for word in group))


def table(words: Words, pairs: Mapping[str, str]) -> Float[np.ndarray, "d d"]:
    """A function on words as a matrix: the column of a word is the one-hot vector of its image
    (zero where it has none)."""
    place = {word: i for i, word in enumerate(words)}
    matrix = np.zeros((len(words), len(words)))
    for word, image in pairs.items():
        matrix[place[image], place[word]] = 1
    return matrix
