"""Tables of tasks in files, CSV, TSV or JSON, and those that come with the project. Every error
names the line.

    verb,past,-ing                  the first line names the columns: inputs first, then a task each
    walk,walked,walking
    must,,                          blank: the task says nothing here

JSON: an array of objects, [{"verb": "walk", "past": "walked"}, ...], or an object of columns,
{"verb": ["walk", ...], "past": ["walked", ...]}.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from construct import checks
from construct.families.columns import tabulate
from construct.families.family import Words
from construct.families.table import Table
from verify.families.writing import Writing

DATA = Path(__file__).parent / "data"
SHIPPED = ("verbs", "adjectives", "dictionary")
DELIMITERS = {".csv": ",", ".tsv": "\t"}
# What separates the inputs of an example in a prompt, where a table has several.
COMMA = ","

Rows = Iterator[tuple[str, Sequence[Any]]]


def load(source: str, inputs: Sequence[str] | None = None) -> Table:
    """A shipped table by name, or the table in a file. Raises ValueError that names the file, the
    line and the way out."""
    if source in SHIPPED:
        return _shipped(source) if inputs is None else _read(DATA / f"{source}.csv", inputs)
    path = Path(source)
    if path.suffix.lower() not in (*DELIMITERS, ".json"):
        raise checks.refuse(
            "tasks",
            repr(source),
            f"must be one of {', '.join(SHIPPED)}, or a file that ends in .csv, .tsv or .json",
            "pass one of these",
        )
    return _read(path, inputs)


@cache
def _shipped(name: str) -> Table:
    return _read(DATA / f"{name}.csv", None)


def _read(path: Path, inputs: Sequence[str] | None) -> Table:
    text, suffix = _text(path), path.suffix.lower()
    name = path.stem if path.parent == DATA else path.name
    if suffix == ".json":
        header, rows = _json(name, text)
    else:
        header, rows = _separated(name, text, DELIMITERS[suffix])
    marks = ("->",) if inputs is None or len(inputs) < 2 else ("->", COMMA)
    return tabulate(name, header, rows, inputs, marks)


def _text(path: Path) -> str:
    """A file's text, without the byte order mark that spreadsheets write."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise checks.refuse(
            "tasks", path, f"{error.strerror}", "pass a file that exists and can be read"
        ) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise checks.refuse(
            f"{path.name}, line {line}", "bytes", "must be UTF-8", "save the file as UTF-8"
        ) from None


def _separated(name: str, text: str, delimiter: str) -> tuple[Sequence[str], Rows]:
    rows = _lines(name, text, delimiter)
    _, header = next(rows, ("", []))
    if len(header) == 1 and ";" in header[0]:
        raise checks.refuse(
            f"{name}, line 1",
            repr(header[0]),
            f"must name the columns, separated by {'commas' if delimiter == ',' else 'tabs'}",
            "replace the semicolons",
        )
    return header, rows


def _lines(name: str, text: str, delimiter: str) -> Iterator[tuple[str, list[str]]]:
    """The rows with the line that each begins on; blank lines are skipped but counted."""
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter == ",", strict=True)
    begins = 1
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise checks.refuse(
                f"{name}, line {begins}", "no row", str(error), "close or double its quotes"
            ) from None
        if row is None:
            return
        if len(row) > 1 or "".join(row).strip():
            yield f"line {begins}", row
        begins = reader.line_num + 1


def _json(name: str, text: str) -> tuple[Sequence[str], Rows]:
    """The rows of an array of objects, each with its line, or of an object of columns."""
    decoder = json.JSONDecoder(object_pairs_hook=partial(_members, name))
    try:
        if not text.lstrip().startswith("["):
            return _columns(name, decoder.decode(text))
        # Decoded as a whole first: an error then is told once, and elements are known to be whole.
        count = len(decoder.decode(text))
        return _objects(name, decoder, text, count)
    except json.JSONDecodeError as error:
        raise checks.refuse(
            f"{name}, line {error.lineno}", "no JSON", error.msg, "mend it there"
        ) from None


def _members(table: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, or a ValueError where a name stands in it twice."""
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise checks.refuse(
            table, repr(twice), "must stand once in an object", "remove one of the two"
        )
    return members


def _columns(name: str, columns: Any) -> tuple[Sequence[str], Rows]:
    if not isinstance(columns, dict) or not all(isinstance(c, list) for c in columns.values()):
        raise checks.refuse(
            name, "JSON", "must be an array of objects or an object of arrays", "write one of these"
        )
    lengths = {title: len(column) for title, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise checks.refuse(
            name,
            ", ".join(f"{title}: {length} cells" for title, length in lengths.items()),
            "columns must be of one length",
            "write null where a task says nothing",
        )
    rows = ((f"row {i}", row) for i, row in enumerate(zip(*columns.values(), strict=True), 1))
    return list(columns), rows


def _objects(
    name: str, decoder: json.JSONDecoder, text: str, count: int
) -> tuple[Sequence[str], Rows]:
    """The first object's names, and the rows: a name that an object lacks is a blank cell."""
    found, end = [], text.index("[") + 1
    for _ in range(count):
        start = end
        while text[start] in " \t\r\n,":
            start += 1
        value, end = decoder.raw_decode(text, start)
        place = f"line {text.count(chr(10), 0, start) + 1}"
        header = list(found[0][1]) if found else None
        if not isinstance(value, dict):
            raise checks.refuse(
                f"{name}, {place}", f"{value!r:.40}", "must be an object", "name its cells"
            )
        if header is not None and (strange := [title for title in value if title not in header]):
            raise checks.refuse(
                f"{name}, {place}",
                repr(strange[0]),
                f"must be one of {', '.join(header)}, as in the first row",
                "rename it, or add it to the first row",
            )
        found.append((place, value))
    header = list(found[0][1]) if found else []
    return header, ((place, [value.get(title) for title in header]) for place, value in found)


def writing(table: Table) -> Writing:
    """How a table's examples are typed: the inputs, separated by commas, and an arrow."""
    separator = f"{COMMA} "

    def draw(rng: np.random.Generator) -> Words:
        rows = list(table.rows)
        return rows[rng.integers(len(rows))]

    family = cache(table.family)
    first = separator.join(next(iter(table.rows)))
    one = "(.+)" if len(table.inputs) == 1 else f"([^{COMMA}]+)"
    return Writing(
        f"{first}->",
        re.compile(COMMA.join([one] * len(table.inputs)) + "->"),
        lambda size: family(),
        draw,
        lambda words: f"{separator.join(words)}->",
    )


@cache
def writings() -> dict[str, Writing]:
    """The shipped tables' writings by name."""
    return {name: writing(load(name)) for name in SHIPPED}
