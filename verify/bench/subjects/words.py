"""Theorem 4's transformer, whose answers have several words, on a task set of words."""

from collections.abc import Sequence

import numpy as np

from construct.theorem4 import build, spec_of
from construct.words import BLANK, WordPrompt, WordTask
from proofs.theorem4 import error_bound
from verify.bench.tasksets import Case, TaskSet
from verify.posteriors import Said
from verify.theorem4.law import next_words


class Words:
    """A constructed subject that is asked for the next word, and so for `collapse` alone. A task
    set's words are those of its family; an answer is words with blanks between."""

    kind, soft = "constructed", True

    def __init__(self, dtype: str = "float64") -> None:
        self.name, self.dtype = "theorem4", dtype
        self.vocabulary: tuple[str, ...] = ()

    def prepare(self, tasks: TaskSet, lines: int) -> None:
        """Build the transformer for a task set whose inputs are one word each."""
        family = tasks.family
        self._word, self.vocabulary = family.coordinate, family.vocabulary
        said = [[self._words(text) for text in family.answers(word)] for word in family.vocabulary]
        L = max(len(words) for row in said for words in row)
        tables = np.full((tasks.K, L, len(family.vocabulary)), BLANK)
        for x, row in enumerate(said):
            for i, words in enumerate(row):
                tables[i, : len(words), x] = words
        self.tasks = [WordTask(0, table) for table in tables]
        self.model = build(spec_of(self.tasks, m=lines, dtype=self.dtype), self.tasks)

    @property
    def error_bound(self) -> float:
        """How far a word's probability or a task's posterior may be off."""
        return error_bound(self.model.spec)

    def _words(self, text: str) -> tuple[int, ...]:
        return tuple(self._word[word] for word in text.split())

    def written(self, case: Case) -> list[tuple[int, ...]]:
        """Each task's answer, as words."""
        return [self._words(answer) for answer in case.answers]

    def ask(self, prompt: Case, prefixes: Sequence[np.ndarray]) -> list[Said]:
        """What it says after each prefix."""
        words = WordPrompt(
            inputs=np.array([[self._word[word] for word in given] for given, _ in prompt.lines]),
            answers=np.array([self._words(answer) for _, answer in prompt.lines]),
            query=np.array([self._word[word] for word in prompt.query]),
        )
        return [Said(*one) for one in next_words(self.model, [words.after(p) for p in prefixes])]
