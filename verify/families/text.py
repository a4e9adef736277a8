"""Prompts as people type them: one example a line, the query last. Every error names the line and
the word.

Blanks and letter case are forgiven where a word can be but one: 'france -> PARIS' is read as
'France->Paris'. A word that is written as one of the family's words are is taken as it is.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from construct.families import Family
from construct.families.family import BLANK, SILENT, Words
from verify.families import WRITINGS, open_family, tables
from verify.families.lines import Line, split
from verify.families.writing import Writing


@dataclass(frozen=True, eq=False)
class TextPrompt:
    """A prompt that was read: its family, the examples' lines, words and labels, and the query."""

    family: Family
    lines: tuple[Line, ...]
    examples: tuple[tuple[Words, str], ...]
    query_line: Line
    query: Words

    def narrowed(self) -> "TextPrompt":
        """The same prompt of the same tasks, in a family that has the words of this prompt alone:
        a transformer of its width answers it alike."""
        return replace(self, family=self.family.narrowed([(self.examples, self.query)]))


def read(
    text: str, name: str | None = None, writings: Mapping[str, Writing] | None = None
) -> TextPrompt:
    """Read a prompt; without a family's `name` the family is picked: the one that fits every line
    and, of several, the one whose tasks explain the most examples uniquely (then the first).

    writings: the families to pick from, by name (default: those of `verify.families` and the
    shipped tables). Raises ValueError that names the line and the word.
    """
    lines = split(text)
    known = (WRITINGS | tables.writings()) if writings is None else writings
    faults, fitting, absent = {}, [], []
    for candidate in _written_alike(lines, known, name):
        parts = [_words(known[candidate], line) for line in lines]
        try:
            family = open_family(
                candidate, max(len(word) for words in parts for word in words), known
            )
        except ValueError as error:
            # A package is missing: no reason to refuse what another family can read.
            absent.append(str(error))
            faults[candidate] = [str(error)] * (1 if name else len(lines) + 1)
            continue
        read, found = _respelled(family, lines, parts)
        if found:
            faults[candidate] = found
        else:
            fitting.append(TextPrompt(family, lines[:-1], tuple(read[:-1]), lines[-1], read[-1][0]))
    if not fitting:
        fault = min(faults.values(), key=len)[0]
        untried = [error for error in absent if error != fault]
        raise ValueError("; not tried: ".join([fault, *untried]))
    return max(
        fitting,
        key=lambda prompt: sum(
            len(prompt.family.explain(*example)) == 1 for example in prompt.examples
        ),
    )


def _words(writing: Writing, line: Line) -> Words:
    """The words of a line that is written so, with single blanks inside and none around."""
    return tuple(" ".join(word.split()) for word in writing.words(line.left) or ())


def _respelled(
    family: Family, lines: Iterable[Line], parts: Iterable[Words]
) -> tuple[list[tuple[Words, str]], list[str]]:
    """Each line's words and label as the family spells them, and what is wrong with the others."""
    read, faults = [], []
    for line, words in zip(lines, parts, strict=True):
        try:
            words = _inputs(family, line, words)
            read.append((words, _label(family, line, words) if line.label else ""))
        except ValueError as error:
            faults.append(str(error))
    return read, faults


def _inputs(family: Family, line: Line, words: Words) -> Words:
    """The inputs of a line as the family spells them. Raises ValueError for an unknown word, or one
    of which only the case tells what it is."""
    if family.rows:
        if words in family.rows:
            return words
        alike = [row for row in family.rows if all(map(_alike, row, words))]
        if alike:
            return _only(line, words, alike)
        among = [", ".join(row) for row in family.rows]
        raise _unknown(family, line, ", ".join(words), "input", among)
    try:
        given = family.layout(words)
    except IndexError:
        given = words
    for word in given:
        if word != BLANK and word not in family.domain:
            raise _unknown(family, line, word, "input", family.domain)
    return words


def _label(family: Family, line: Line, words: Words) -> str:
    """The label of a line as the family spells it: first as the tasks' answers are, then as any
    word is. Raises ValueError as `_inputs` does."""
    label = " ".join(line.label.split())
    if label in family.coordinate:
        return label
    for known in (family.answers(words), family.vocabulary):
        alike = [(word,) for word in dict.fromkeys(known) if _alike(word, label)]
        if alike:
            return _only(line, (label,), alike)[0]
    said = {word for row in family.rows for word in family.answers(row)} or set(family.vocabulary)
    raise _unknown(family, line, label, "label", said - {SILENT})


def _alike(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


def _only(line: Line, typed: Words, alike: list[Words]) -> Words:
    """The only words that are spelled as those that were typed, but for case."""
    if len(alike) == 1:
        return alike[0]
    choices = " or ".join(repr(", ".join(words)) for words in alike)
    raise ValueError(
        f"line {line.number}: {', '.join(typed)!r} in {line.text!r} can be {choices}; write which"
    )


def _written_alike(
    lines: tuple[Line, ...], known: Mapping[str, Writing], name: str | None
) -> list[str]:
    """The families whose writing fits every line, or a ValueError that names the first line that is
    written otherwise."""
    if name is not None and name not in known:
        open_family(name, writings=known)  # raises
    misfits = {
        candidate: [line for line in lines if known[candidate].words(line.left) is None]
        for candidate in ([name] if name else known)
    }
    # Of families that fit equally many lines, the one that the first lines are written like.
    fewest = min(
        misfits,
        key=lambda name: (len(misfits[name]), -misfits[name][0].number if misfits[name] else 0),
    )
    if not misfits[fewest]:
        return [name for name in misfits if not misfits[name]]
    line, form = misfits[fewest][0], known[fewest].form
    if len(misfits[fewest]) == len(lines):
        forms = ", ".join(f"{known[name].form!r} ({name})" for name in misfits)
        raise ValueError(
            f"line {line.number}: {line.left!r} is written like no family here; known: {forms}"
        )
    raise ValueError(
        f"line {line.number}: mixed formats: {line.left!r} is not written like {form!r}, as other "
        f"lines are ({fewest})"
    )


def _unknown(family: Family, line: Line, word: str, role: str, among: Iterable[str]) -> ValueError:
    """An unknown word's error, with the nearest known one or what the known ones are."""
    among = list(among)
    folded = {known.casefold(): known for known in among}
    near = []
    if not word.isdigit():
        near = difflib.get_close_matches(word, among, 1) or [
            folded[known] for known in difflib.get_close_matches(word.casefold(), folded, 1)
        ]
    hint = f"did you mean {near[0]!r}?" if near else _span(among)
    return ValueError(
        f"line {line.number}: unknown word {word!r} as {role} in {line.text!r} ({family.name}); "
        f"{hint}"
    )


def _span(known: Iterable[str]) -> str:
    words = sorted(known)
    if all(word.isdigit() for word in words):
        words.sort(key=len)
    return f"known are {len(words)} words, from {words[0]!r} to {words[-1]!r}"
