"""Sets of tasks that every kind of subject can be asked, and random prompts of them.

A set is a family (words in, a word out, the same as functions and as weights) and the words that
its examples are drawn from. A case is one prompt: lines with the task of each, a query, and what
each task says of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from construct.families import Family, from_table, plus
from construct.families.family import SILENT, Weights, Words
from construct.families.letters import ret
from verify.families import open_family, tables
from verify.train.tasks import STEPS, Tasks

# What a line that no task explains says: a word of the vocabulary that no task says of its words.
NOISE = -1
NO_DIGIT = "?"


@dataclass(frozen=True, eq=False)
class TaskSet:
    """A family, and how its examples are drawn; `pair` are the two tasks that sweeps mix, `several`
    those that are mixed evenly (default: all)."""

    name: str
    family: Family
    draw: Callable[[np.random.Generator], Words]
    pair: tuple[int, int] = (0, 1)
    several: tuple[int, ...] = ()

    @property
    def mixed(self) -> tuple[int, ...]:
        """The tasks that are mixed evenly."""
        return self.several or tuple(range(self.K))

    @property
    def names(self) -> Words:
        """The tasks' names."""
        return self.family.names

    @property
    def K(self) -> int:
        """The number of tasks."""
        return len(self.names)

    def distinct(self, rng: np.random.Generator, seen: set[Words], tries: int = 200) -> Words:
        """Words on which all tasks differ, unseen where that can be."""
        for _ in range(tries):
            words = self.draw(rng)
            answers = self.family.answers(words)
            if len(set(answers)) == len(answers) and SILENT not in answers and words not in seen:
                break
        else:
            seen.clear()
            return self.distinct(rng, seen)
        seen.add(words)
        return words


@dataclass(frozen=True, eq=False)
class Case:
    """One prompt. lines: (words, label). tasks: of each line, NOISE where none explains it.
    answers: what each task says of the query."""

    lines: tuple[tuple[Words, str], ...]
    tasks: tuple[int, ...]
    query: Words
    answers: Words

    def share(self, K: int) -> np.ndarray:
        """m_i / M by task."""
        counts = np.bincount([i for i in self.tasks if i != NOISE], minlength=K)
        return counts / max(counts.sum(), 1)


def case(
    tasks: TaskSet, rng: np.random.Generator, order: Sequence[int], query: Words | None = None
) -> Case:
    """A prompt whose lines are of these tasks in this order; no word twice where that can be."""
    seen: set[Words] = set()
    query = tasks.distinct(rng, seen) if query is None else query
    seen.add(query)
    lines = []
    for task in order:
        words = tasks.distinct(rng, seen)
        answers = tasks.family.answers(words)
        if task == NOISE:
            others = [word for word in tasks.family.vocabulary if word not in (*answers, SILENT)]
            lines.append((words, str(rng.choice(others))))
        else:
            lines.append((words, answers[task]))
    return Case(tuple(lines), tuple(order), query, tasks.family.answers(query))


def counted(
    tasks: TaskSet, rng: np.random.Generator, counts: Sequence[int], prompts: int
) -> list[Case]:
    """Prompts with so many lines of each task, in random order."""
    order = np.repeat(np.arange(len(counts)), counts)
    return [case(tasks, rng, rng.permutation(order).tolist()) for _ in range(prompts)]


def sampled(
    tasks: TaskSet, rng: np.random.Generator, share: float, lines: int, prompts: int
) -> list[Case]:
    """Prompts each of whose lines is of the pair's first task with probability `share`, else of the
    second: the paper's Figure 3."""
    first, second = tasks.pair
    rows = np.where(rng.random((prompts, lines)) < share, first, second)
    return [case(tasks, rng, row.tolist()) for row in rows]


def _ret(length: int) -> TaskSet:
    family = ret(length)
    letters = sorted(family.domain)

    def draw(rng: np.random.Generator) -> Words:
        return ("".join(rng.choice(letters, length, replace=False)),)

    return TaskSet(f"ret{length}", family, draw, (0, length - 1))


def _plus() -> TaskSet:
    # The ten tasks say every digit of each digit: a line that none explains needs another word, and
    # mixed all at once every digit would be the answer of one.
    family = replace(plus(), vocabulary=(*plus().vocabulary, NO_DIGIT))
    return TaskSet("plus10", family, lambda rng: (str(rng.integers(10)),), (3, 7), (0, 3, 5, 7))


def _chain() -> TaskSet:
    """A digit, answered by three: for transformers that write."""
    names = Tasks("chain", len(STEPS), 1).names
    digits = plus().vocabulary

    def none(words: Words) -> Weights:
        raise ValueError("chain4: an answer of several words is Theorem 4's to give; ask theorem4")

    def says(words: Words, steps: Sequence[int]) -> str:
        return " ".join(str((int(words[0]) + step) % 10) for step in steps)

    family = Family(
        name="chain",
        vocabulary=digits,
        domain=frozenset(digits),
        functions={
            name: lambda words, steps=steps: says(words, steps)
            for name, steps in zip(names, STEPS, strict=True)
        },
        weights=none,
        slots=1,
    )
    return TaskSet("chain4", family, lambda rng: (str(rng.integers(10)),))


def _rows(name: str, family: Family) -> TaskSet:
    rows = family.rows
    return TaskSet(name, family, lambda rng: rows[rng.integers(len(rows))])


def _table(name: str, source: str, *columns: str) -> TaskSet:
    """Columns of a shipped table, without the rows that are blank in one or on which two of them
    agree."""
    table = tables.load(source)
    chosen = [table.tasks.index(column) for column in columns]
    cells = [(words[0], *(row[i] for i in chosen)) for words, row in table.rows.items()]
    cells = [row for row in cells if all(row) and len(set(row)) == len(row)]
    columns_of = dict(zip((table.inputs[0], *columns), zip(*cells, strict=True), strict=True))
    return _rows(name, from_table({title: list(c) for title, c in columns_of.items()}, name=name))


def _numbers() -> TaskSet:
    numbers = range(10, 99)
    columns = {"number": numbers, "plus0": numbers, "plus1": [n + 1 for n in numbers]}
    return _rows(
        "numbers", from_table({k: [str(n) for n in v] for k, v in columns.items()}, name="numbers")
    )


def _country() -> TaskSet:
    family = open_family("country")
    return _rows("country", family)


OPENERS: dict[str, Callable[[], TaskSet]] = {
    **{f"ret{K}": lambda K=K: _ret(K) for K in (2, 4, 8, 16)},
    "plus10": _plus,
    "chain4": _chain,
    "past-ing": lambda: _table("past-ing", "verbs", "past", "-ing"),
    "ing-third": lambda: _table("ing-third", "verbs", "-ing", "third person"),
    "numbers": _numbers,
    "comparative-superlative": lambda: _table(
        "comparative-superlative", "adjectives", "comparative", "superlative"
    ),
    "country": _country,
}


@cache
def open_set(name: str) -> TaskSet:
    """A task set by name. Raises ValueError for an unknown one."""
    if name not in OPENERS:
        raise ValueError(f"task set {name!r} is unknown; known are {', '.join(OPENERS)}")
    return OPENERS[name]()
