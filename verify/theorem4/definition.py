"""The definition: what Theorem 4 says of a prompt, in whole numbers and fractions, word by word.

It shares no code with the layers: it never sees a weight of the transformer, only tables of words.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int

from construct.words import WordPrompt, WordTask

ABSTAINED = -1
Word = int | None
Sequences = dict[tuple[int, ...], Fraction]


def says(task: WordTask, place: int, inputs: Sequence[int]) -> Word:
    """The word that a task says in a place 0..L-1 about a line's inputs; None if it says
    nothing."""
    about = int(inputs[task.slot])
    word = int(task.words[place][about]) if about >= 0 else -1
    return word if word >= 0 else None


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the definition says of a prompt.

    explains (K, m'): which tasks say the whole answer of which example. recognized (m'): the only
    one that does, else -1. said (K, L): what each task says about the query, -1 for nothing.
    follows (K): which tasks have said all words of the prefix."""

    explains: Bool[np.ndarray, "K m"]
    recognized: Int[np.ndarray, "m"]
    said: Int[np.ndarray, "K L"]
    follows: Bool[np.ndarray, "K"]
    d: int
    place: int
    fallback: bool

    @cached_property
    def counts(self) -> Int[np.ndarray, "K"]:
        """m_i, the examples that count for each task."""
        return np.array([(self.recognized == i).sum() for i in range(len(self.said))])

    @cached_property
    def exact(self) -> list[Fraction]:
        """The posterior: m_i over the sum of those that follow; with no such task 0, or the
        prior."""
        counts = [int(m) for m in self.counts]
        kept = [m if follows else 0 for m, follows in zip(counts, self.follows, strict=True)]
        if not any(kept) and self.fallback:
            kept = counts
        return [Fraction(m, sum(kept)) if sum(kept) else Fraction(0) for m in kept]

    @cached_property
    def distribution(self) -> list[Fraction]:
        """Of the next word: the posterior of all tasks that say it."""
        words = [Fraction(0)] * self.d
        for weight, said in zip(self.exact, self.said[:, self.place], strict=True):
            if said >= 0:
                words[said] += weight
        return words

    @property
    def prevalence(self) -> np.ndarray:
        """The posterior as floats: m_i/M before the first word."""
        return np.array([float(weight) for weight in self.exact])

    @property
    def vector(self) -> np.ndarray:
        """The distribution of the next word as floats."""
        return np.array([float(weight) for weight in self.distribution])

    @property
    def outputs(self) -> np.ndarray:
        """Each task's next word, one-hot, 0 where it says nothing: (K, d)."""
        return (self.said[:, self.place, None] == np.arange(self.d)).astype(float)


def judge(tasks: Sequence[WordTask], prompt: WordPrompt, m: int, fallback: bool = False) -> Verdict:
    """The verdict on a prompt of a transformer for up to m examples.

    A soft word counts as said by each task whose word has the weight 1/m or more in it, up to a
    quarter less for rounding.
    """
    K, (L, d) = len(tasks), tasks[0].words.shape
    explains = np.zeros((K, prompt.examples), bool)
    for i, task in enumerate(tasks):
        for j in range(prompt.examples):
            answer = [says(task, t, prompt.inputs[j].tolist()) for t in range(L)]
            explains[i, j] = answer == [int(word) for word in prompt.answers[j]]
    recognized = np.full(prompt.examples, ABSTAINED)
    for j in range(prompt.examples):
        by = np.flatnonzero(explains[:, j])
        if len(by) == 1:
            recognized[j] = by[0]
    answers = [[says(task, t, prompt.query.tolist()) for t in range(L)] for task in tasks]
    follows = np.array([_follows(answer, prompt.prefix, m) for answer in answers])
    said = np.array([[-1 if word is None else word for word in answer] for answer in answers])
    return Verdict(explains, recognized, said, follows, d, len(prompt.prefix), fallback)


def _follows(answer: Sequence[Word], prefix: np.ndarray, m: int) -> bool:
    """Whether an answer begins with the words of a prefix."""
    for word, told in zip(answer, prefix, strict=False):
        if word is None:
            return False
        if prefix.ndim == 1:
            if word != int(told):
                return False
        elif told[word] < 3 / (4 * m):
            return False
    return True


def mixture(verdict: Verdict) -> tuple[Sequences, Fraction]:
    """The law of the whole answer, before the first word: the mixture of the tasks' sequences, and
    the weight of the tasks that do not say L words."""
    found: Sequences = {}
    short = Fraction(0)
    M = int(verdict.counts.sum())
    for count, said in zip(verdict.counts.tolist(), verdict.said.tolist(), strict=True):
        if not count:
            continue
        if -1 in said:
            short += Fraction(count, M)
        else:
            found[tuple(said)] = found.get(tuple(said), Fraction(0)) + Fraction(count, M)
    return found, short


def continuations(verdict: Verdict) -> list[tuple[int, ...]]:
    """All prefixes, the empty one first, that some task with examples says, short of whole
    answers."""
    found: dict[tuple[int, ...], None] = {}
    L = verdict.said.shape[1]
    for t in range(L):
        for count, said in zip(verdict.counts, verdict.said.tolist(), strict=True):
            if (count or t == 0) and -1 not in said[:t]:
                found[tuple(said[:t])] = None
    return list(found)


def chain(steps: Iterable[Fraction]) -> Fraction:
    """The product of the probabilities of an answer's words."""
    total = Fraction(1)
    for step in steps:
        total *= step
    return total
