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

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

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


def from_table(
    columns: Any, *, inputs: str | Sequence[str] | None = None, name: str = "table"
) -> Family:
    """The family of a table's tasks.

    columns: names to cells, as a mapping or a pandas DataFrame; inputs: the column that holds the
    inputs, or several (default: the first); every other column is a task. Cells are words or
    numbers; blanks around them do not count. A blank cell, None or NaN of a task: it says nothing
    there.

    Raises ValueError that names the row (counted from 1) or the column: columns of several lengths,
    a blank input, two rows of the same inputs, a task that says nothing anywhere or is another
    one's double.
    """
    if isinstance(columns, (str, bytes)) or not hasattr(columns, "keys"):
        raise checks.refuse(
            "columns",
            f"a {type(columns).__name__}",
            "must map the names of columns to their cells",
            "pass a dict of lists or a DataFrame",
        )
    keys = list(columns.keys())
    names = [cell(key, "columns", f"name {i + 1}") for i, key in enumerate(keys)]
    _distinct(names, "columns")
    cells = [_cells(title, columns[key]) for title, key in zip(names, keys, strict=True)]
    for title, column in zip(names, cells, strict=True):
        if len(column) != len(cells[0]):
            raise checks.refuse(
                f"columns[{title!r}]",
                f"{len(column)} cells",
                f"must be {len(cells[0])}, as in {names[0]!r}",
                "pad it with blanks",
            )
    rows = zip(*cells, strict=True)
    numbered = ((f"row {i}", list(row)) for i, row in enumerate(rows, 1))
    return tabulate(name, names, numbered, inputs).family()


def tabulate(
    name: str,
    header: Sequence[Any],
    rows: Iterable[tuple[str, Sequence[Any]]],
    inputs: str | Sequence[str] | None = None,
    marks: Sequence[str] = (),
) -> Table:
    """The table of a header and of rows, each with its place in words ("line 3"). Raises ValueError
    as `from_table` does, for a row that has more or fewer cells than the header, and for an input
    that holds one of the `marks`, which typed prompts are split at."""
    names = [cell(title, name, f"name of column {i + 1}") for i, title in enumerate(header)]
    _distinct(names, name)
    keys = _input_columns(name, names, inputs)
    tasks = [i for i in range(len(names)) if i not in keys]
    if not tasks:
        raise checks.refuse(
            f"{name}, columns", ", ".join(names), "must hold a task beside the inputs", "add one"
        )
    found: dict[Words, Words] = {}
    places: dict[Words, str] = {}
    for place, cells in rows:
        if len(cells) != len(names):
            raise checks.refuse(
                f"{name}, {place}",
                f"{len(cells)} cells",
                f"must be {len(names)}, one for each of {', '.join(names)}",
                "write every cell, a blank one where a task says nothing",
            )
        row = [cell(value, name, place) for value in cells]
        words, answers = tuple(row[i] for i in keys), tuple(row[i] for i in tasks)
        if BLANK in words:
            raise checks.refuse(
                f"{name}, {place}",
                f"a blank {names[keys[words.index(BLANK)]]!r}",
                "must name its input",
                "fill it in or drop the row",
            )
        for word, mark in itertools.product(words, marks):
            if mark in word:
                raise checks.refuse(
                    f"{name}, {place}",
                    repr(word),
                    f"an input must not hold {mark!r}, which prompts are split at",
                    "write it otherwise",
                )
        if words in found:
            raise _twice(name, places[words], place, words, found[words] == answers)
        found[words], places[words] = answers, place
    table = Table(name, tuple(names[i] for i in keys), tuple(names[i] for i in tasks), found)
    _check_tasks(table)
    return table


def cell(value: Any, name: str, place: str) -> str:
    """A cell as a word: text with single blanks inside and none around, a number in digits, "" for
    None and NaN. Raises ValueError that names the table and the place."""
    if isinstance(value, str):
        return " ".join(value.split())
    if _missing(value):
        return BLANK
    if isinstance(value, (bool, int, np.bool_, np.integer)):
        return str(value)
    if isinstance(value, (float, np.floating)):
        return str(int(value)) if float(value).is_integer() else str(value)
    raise checks.refuse(
        f"{name}, {place}",
        f"a {type(value).__name__}",
        "must be a word or a number",
        "write it as text",
    )


def _missing(value: Any) -> bool:
    try:
        return value is None or bool(value != value)  # NaN differs from itself
    except TypeError:
        return True  # pandas' NA does not say whether it does
    except ValueError:
        return False  # an array, which is no cell


def _cells(title: str, column: Any) -> list[Any]:
    if isinstance(column, (str, bytes)) or not isinstance(column, Iterable):
        raise checks.refuse(
            f"columns[{title!r}]",
            f"a {type(column).__name__}",
            "must be a sequence of cells",
            "pass a list",
        )
    return list(column)


def _distinct(names: Sequence[str], table: str) -> None:
    """Refuse columns that have no name, or one name twice."""
    for i, title in enumerate(names):
        if not title or title in names[:i]:
            raise checks.refuse(
                f"{table}, column {i + 1}",
                repr(title),
                "must have a name of its own",
                "rename it",
            )


def _input_columns(
    name: str, names: Sequence[str], inputs: str | Sequence[str] | None
) -> list[int]:
    """The places of the columns that hold inputs: of those that are asked for, else the first."""
    if not names:
        raise checks.refuse(f"{name}, columns", "none", "must be two at least", "add some")
    asked = [inputs] if isinstance(inputs, str) else names[:1] if inputs is None else list(inputs)
    for title in asked:
        if title not in names or asked.count(title) > 1:
            raise checks.refuse(
                "inputs",
                repr(title),
                f"must be columns of {name}, each once",
                f"use some of {', '.join(names)}",
            )
    if not asked:
        raise checks.refuse("inputs", "none", "must be a column at least", "leave it out")
    return [names.index(title) for title in asked]


def _twice(name: str, first: str, second: str, words: Words, same: bool) -> ValueError:
    answers = "the same answers" if same else "other answers, which is ambiguous"
    return checks.refuse(
        f"{name}, {second}",
        ", ".join(map(repr, words)),
        f"stands in {first} already, with {answers}",
        "remove one of the two",
    )


def _check_tasks(table: Table) -> None:
    """Refuse a table without rows, and tasks that say nothing or are doubles."""
    if not table.rows:
        raise checks.refuse(f"{table.name}, rows", "none", "must be one at least", "add a row")
    seen: dict[Words, str] = {}
    for title, answers in zip(table.tasks, zip(*table.rows.values(), strict=True), strict=True):
        if not any(answers):
            raise checks.refuse(
                f"{table.name}, column {title!r}", "blank", "must hold an answer", "remove it"
            )
        if answers in seen:
            raise checks.refuse(
                f"{table.name}, column {title!r}",
                f"equal to column {seen[answers]!r}",
                "must differ somewhere",
                "remove one of the two",
            )
        seen[answers] = title
