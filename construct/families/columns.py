"""A table's columns or rows as they come, checked: every fault is named by its row or line."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from construct import checks
from construct.families.family import BLANK, Family, Words
from construct.families.table import Table


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
