"""Tasks from a table: a column of inputs (or several), and a column for each task.

    from construct.families import from_table
    verbs = from_table({"verb": ["walk", "go"], "past": ["walked", "went"], "-ing": ["", "going"]})
    model = build(verbs.spec(m=8), verbs.tasks, verbs.feature_map)
    answer = model(verbs.prompt([(("walk",), "walked")], ("go",)))

With one column of inputs, a task is a matrix that takes the input's word to the answer's. With k
columns, the inputs of an example stand in k slots and a sum slot holds their sum; a word is another
coordinate in each column. One feature a row is read there:

    phi_row(x) = relu(<sum of the row's words, x> - (k - 1))

It is 1 at the row's own inputs. At any others it is 0, since they lack a word of the row, and so it
is in a slot that holds one word. A task takes each row's feature to the row's answer.

A blank cell says nothing: there the task's output is the word SILENT, which no label is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from construct import checks
from construct.families.family import (
    BLANK,
    SILENT,
    Family,
    Weights,
    Words,
    matrix,
    vocabulary,
)
from construct.tasks import FeatureMap, Task


@dataclass(frozen=True)
class Table:
    """A table that was checked: rows maps the words of its inputs to the tasks' answers, "" where a
    task says nothing. inputs, tasks: the columns' names."""

    name: str
    inputs: Words
    tasks: Words
    rows: Mapping[Words, Words]

    def family(self) -> Family:
        """The tasks as a Family."""
        several = len(self.inputs) > 1
        answers = vocabulary(*self.rows.values())
        tokens = vocabulary(*(self._tokens(words) for words in self.rows))
        silent = (SILENT,) if BLANK in answers else ()
        functions: dict[str, Callable[[Words], str]] = {
            name: partial(self._say, task=i) for i, name in enumerate(self.tasks)
        }
        return Family(
            name=self.name,
            vocabulary=vocabulary(tokens, filter(None, answers), silent),
            domain=frozenset(tokens),
            functions=functions,
            weights=self._read_rows if several else self._read_words,
            slots=len(self.inputs) + several,
            layout=self._layout if several else tuple,
            rows=tuple(self.rows),
            sum_slot=several,
        )

    def _say(self, words: Words, task: int) -> str:
        """What a task says of an example's words."""
        if words not in self.rows:
            raise checks.refuse(
                ", ".join(self.inputs),
                ", ".join(map(repr, words)),
                f"must be the inputs of a row of {self.name}",
                "see Family.rows",
            )
        return self.rows[words][task] or SILENT

    def _tokens(self, words: Words) -> Words:
        """The words of an example as they stand in the slots: of several columns, each with its
        own words."""
        if len(self.inputs) == 1:
            return words
        # Two blanks, since no name and no word has them: no two columns share a token.
        return tuple(f"{name}:  {word}" for name, word in zip(self.inputs, words, strict=True))

    def _layout(self, words: Words) -> Words:
        return (*self._tokens(words), BLANK)

    def _read_words(self, words: Words) -> Weights:
        """One column of inputs: a task is a matrix on words."""
        among = set(words)
        rows = [row for row in self.rows if row[0] in among]
        images = [{row[0]: self._say(row, i) for row in rows} for i in range(len(self.tasks))]
        return [Task(slot=0, weight=matrix(words, image)) for image in images], None

    def _read_rows(self, words: Words) -> Weights:
        """Several columns of inputs: a feature for each row whose inputs are among the words."""
        place = {word: i for i, word in enumerate(words)}
        rows = [row for row in self.rows if place.keys() >= set(self._tokens(row))]
        reads = np.zeros((len(rows), len(words)))
        tasks = np.zeros((len(self.tasks), len(words), len(rows)))
        for feature, row in enumerate(rows):
            reads[feature, [place[token] for token in self._tokens(row)]] = 1
            for i in range(len(self.tasks)):
                if (answer := self._say(row, i)) in place:
                    tasks[i, place[answer], feature] = 1
        feature_map = FeatureMap(weight=reads, bias=np.full(len(rows), 1.0 - len(self.inputs)))
        return [Task(slot=len(self.inputs), weight=weight) for weight in tasks], feature_map
