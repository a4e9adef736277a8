"""A family of tasks on words: a vocabulary of one-hot vectors, and each task twice, as a function
of words and as weights.

Why it is exact. Every input and every label is a one-hot vector, and so is every output of a task
in its own slot. Two one-hot vectors are equal or sqrt 2 apart: every residual is 0 or sqrt 2, so
the tolerance is 0 and the margin sqrt 2. The answer, a convex combination of one-hot vectors, is a
probability distribution over the vocabulary.

Why the width is what the words need. A family states its weights for any vocabulary, so a prompt of
few words gets few coordinates: `family.narrowed(prompts)`.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float

from construct import checks
from construct.prompt import Prompt
from construct.spec import Spec
from construct.tasks import FeatureMap, Task

Words = tuple[str, ...]
Example = tuple[Words | str, str]  # its words and its label; one word may stand alone
Weights = tuple[Sequence[Task], FeatureMap | None]
BLANK = ""  # the zero vector: a sum slot before Lift, or a slot beyond a short word
# What a task says where it says nothing: a word of its own, which is no example's label. So its
# output has norm 1 as every other (Theorem 3 needs that), misses each label by sqrt 2, and the
# answer's coordinate of this word is the share of the tasks that say nothing.
SILENT = " "


@dataclass(frozen=True, eq=False)
class Family:
    """Tasks on words. `functions` are the tasks as a person would state them, `weights` the same as
    weights on a vocabulary, in the same order.

    vocabulary: the words that have a coordinate, d of them. domain: the words that may stand in a
    slot. weights(vocabulary): the tasks, and the feature map that they read or None; they are exact
    on examples whose words, and all tasks' answers, are in that vocabulary. slots: n - 1, the
    inputs of an example. layout: puts the words of an example into the slots (BLANK: the zero
    vector). rows: the words of every example there is, where they can be listed. radius: bounds
    every output of every task, also in slots that it does not read. dtype: the narrowest in which
    the scores are representable. Raises ValueError when a word is listed twice, and `tasks` when
    functions and tasks do not match.
    """

    name: str
    vocabulary: Words
    domain: frozenset[str]
    functions: Mapping[str, Callable[[Words], str]]
    weights: Callable[[Words], Weights]
    slots: int
    layout: Callable[[Words], Words] = tuple
    rows: tuple[Words, ...] = ()
    sum_slot: bool = False
    radius: float = 1.0
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if len(self.coordinate) != len(self.vocabulary):
            twice = next(word for word in self.vocabulary if self.vocabulary.count(word) > 1)
            raise checks.refuse(
                "vocabulary", repr(twice), "must be listed once", "remove the duplicate"
            )

    @cached_property
    def _weights(self) -> Weights:
        """The weights on this vocabulary, made when they are first needed."""
        tasks, feature_map = self.weights(self.vocabulary)
        if len(self.functions) != len(tasks):
            raise checks.refuse(
                "tasks",
                f"{len(tasks)} tasks",
                f"must be one for each of {len(self.functions)} functions",
                "pass both in order",
            )
        return tuple(tasks), feature_map

    @property
    def tasks(self) -> Sequence[Task]:
        """The tasks as weights, in the order of `functions`. Raises ValueError when there are more
        or fewer."""
        return self._weights[0]

    @property
    def feature_map(self) -> FeatureMap | None:
        """The ReLU features that the tasks read; None: the input itself."""
        return self._weights[1]

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
        self._check_known(word for word in words if word != BLANK)
        vectors = np.zeros((len(words), len(self.vocabulary)))
        for row, word in zip(vectors, words, strict=True):
            if word != BLANK:
                row[self.coordinate[word]] = 1
        return vectors

    def _check_known(self, words: Iterable[str]) -> None:
        for word in words:
            if word not in self.coordinate:
                raise checks.refuse(
                    "word",
                    repr(word),
                    f"must be in the vocabulary of {self.name}",
                    "see Family.vocabulary",
                )

    def prompt(self, examples: Sequence[Example], query: Words | str) -> Prompt:
        """The prompt of (words, label) examples and the query's words; a single word may be a
        string. Raises ValueError for an unknown word, a label that is SILENT, or no example."""
        for j, (_, label) in enumerate(examples):
            if label == SILENT:
                raise checks.refuse(
                    f"examples[{j}]", "no label", "must have a word as its label", "drop it"
                )
        if not examples:
            raise checks.refuse("examples", "none", "must be one at least", "pass (words, label)")
        inputs = [self.vectors(self.layout(_words(words))) for words, _ in examples]
        return Prompt(
            inputs=np.stack(inputs),
            labels=self.vectors(label for _, label in examples),
            query=self.vectors(self.layout(_words(query))),
        )

    def explain(self, words: Words | str, label: str) -> tuple[int, ...]:
        """The tasks that explain an example, from the functions alone."""
        return tuple(i for i, answer in enumerate(self.answers(words)) if answer == label)

    def answers(self, words: Words | str) -> Words:
        """What each task says of a query, from the functions alone."""
        return tuple(function(_words(words)) for function in self.functions.values())

    def narrowed(self, prompts: Iterable[tuple[Sequence[Example], Words | str]]) -> "Family":
        """The same tasks on the words that these prompts, (examples, query) each, need: the words
        in them, and what every task says of their inputs. Nothing else gets a coordinate, so
        residuals and answers are the same, on as few coordinates as can be. Raises ValueError for
        a word that is not in the vocabulary."""
        given: dict[Words, None] = {}
        labels: dict[str, None] = {}
        for examples, query in prompts:
            given |= dict.fromkeys(_words(words) for words in [*(x for x, _ in examples), query])
            labels |= dict.fromkeys(label for _, label in examples)
        while True:
            tokens = [token for words in given for token in self.layout(words) if token != BLANK]
            said = [word for words in given for word in self.answers(words)]
            needed = dict.fromkeys([*tokens, *said, *labels])
            self._check_known(needed)
            family = replace(
                self,
                vocabulary=tuple(word for word in self.vocabulary if word in needed),
                domain=self.domain.intersection(tokens),
                rows=tuple(given) if self.rows else (),
            )
            telling = self._telling(family)
            if telling is None or telling in given:
                return family
            given[telling] = None

    def _telling(self, narrow: "Family") -> Words | None:
        """An example on which two tasks differ that are the same on a narrower vocabulary (no
        transformer holds a task twice); None where all are told apart."""
        seen: dict[tuple[int, bytes, bytes], int] = {}
        for i, task in enumerate(narrow.tasks):
            first = seen.setdefault((task.slot, task.weight.tobytes(), task.bias.tobytes()), i)
            if first != i:
                # Where examples cannot be listed, one word tells two tasks of one slot apart.
                every = self.rows or ((word,) for word in sorted(self.domain))
                said = ((words, self.answers(words)) for words in every)
                return next((words for words, says in said if says[first] != says[i]), None)
        return None


def _words(words: Words | str) -> Words:
    return (words,) if isinstance(words, str) else tuple(words)


def vocabulary(*groups: Iterable[str]) -> Words:
    """The words of several groups, each once, in order of first appearance: a word in two groups is
    one token."""
    return tuple(dict.fromkeys(word for group in groups for word in group))


def matrix(words: Words, images: Mapping[str, str]) -> Float[np.ndarray, "d d"]:
    """A function on words as a matrix: the column of a word is the one-hot vector of its image,
    zero where it has none or the image is not among the words."""
    place = {word: i for i, word in enumerate(words)}
    weight = np.zeros((len(words), len(words)))
    for word, image in images.items():
        if word in place and image in place:
            weight[place[image], place[word]] = 1
    return weight
