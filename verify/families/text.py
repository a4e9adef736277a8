"""Prompts as people type them: one example a line, the query last. Every error names the line and
the word."""

import difflib
from dataclasses import dataclass

from construct.families import Family
from construct.families.family import BLANK, Words
from verify.families import WRITINGS, open_family

ARROWS = ("->", "=")


@dataclass(frozen=True)
class Line:
    """One line of a prompt, split at its arrow: `left` ends with the arrow, `label` is empty on the
    query's line."""

    number: int
    left: str
    label: str

    @property
    def text(self) -> str:
        """The line as it was typed, without blanks around it."""
        return self.left + self.label


@dataclass(frozen=True, eq=False)
class TextPrompt:
    """A prompt that was read: its family, the examples' lines, words and labels, and the query."""

    family: Family
    lines: tuple[Line, ...]
    examples: tuple[tuple[Words, str], ...]
    query_line: Line
    query: Words


def read(text: str, name: str | None = None) -> TextPrompt:
    """Read a prompt; without a family's `name` the family is picked: the one that fits every line
    and, of several, the one whose tasks explain the most examples uniquely (then the first). Raises
    ValueError that names the line and the word."""
    lines = split(text)
    candidates = _written_alike(lines, list(WRITINGS) if name is None else [name])
    faults, fitting = {}, []
    for candidate in candidates:
        parts = [WRITINGS[candidate].words(line.left) for line in lines]
        family = open_family(candidate, max(len(word) for words in parts for word in words))
        found = [
            fault
            for line, words in zip(lines, parts, strict=True)
            if (fault := _unknown_word(family, line, words))
        ]
        if found:
            faults[candidate] = found
        else:
            examples = tuple(
                (words, line.label) for words, line in zip(parts[:-1], lines[:-1], strict=True)
            )
            fitting.append(TextPrompt(family, lines[:-1], examples, lines[-1], parts[-1]))
    if not fitting:
        raise ValueError(min(faults.values(), key=len)[0])
    return max(
        fitting,
        key=lambda prompt: sum(
            len(prompt.family.explain(*example)) == 1 for example in prompt.examples
        ),
    )


def split(text: str) -> tuple[Line, ...]:
    """The lines of a prompt: at least one example, then the query. Blank lines are skipped but
    counted."""
    lines = []
    for number, raw in enumerate(text.splitlines(), 1):
        if not (line := raw.strip()):
            continue
        arrow = next((arrow for arrow in ARROWS if arrow in line), None)
        if arrow is None:
            raise ValueError(
                f"line {number}: {line!r} has no '->' or '='; write an example as 'France->Paris' "
                "or '23@41=64'"
            )
        left, _, label = line.partition(arrow)
        lines.append(Line(number, left.strip() + arrow, label.strip()))
    if not lines:
        raise ValueError(
            "the prompt is empty; write one example a line, such as 'France->Paris', and the query "
            "last: 'Brazil->'"
        )
    if lines[-1].label:
        last = lines[-1]
        raise ValueError(
            f"line {last.number}: no query: the last line {last.text!r} has a label; end with a "
            f"line such as {last.left!r}"
        )
    for line in lines[:-1]:
        if not line.label:
            raise ValueError(
                f"line {line.number}: no label after {line.left!r}; only the query, on the last "
                "line, has none"
            )
    if len(lines) < 2:
        raise ValueError(
            f"line {lines[0].number}: no example before the query {lines[0].left!r}; write at "
            "least one"
        )
    return tuple(lines)


def _written_alike(lines: tuple[Line, ...], names: list[str]) -> list[str]:
    """The families whose writing fits every line, or a ValueError that names the first line that is
    written otherwise."""
    misfits = {
        name: [line for line in lines if WRITINGS[name].words(line.left) is None]
        for name in names
        if name in WRITINGS
    }
    if not misfits:
        open_family(names[0])  # an unknown name: raises
    # Of families that fit equally many lines, the one that the first lines are written like.
    fewest = min(
        misfits,
        key=lambda name: (len(misfits[name]), -misfits[name][0].number if misfits[name] else 0),
    )
    if not misfits[fewest]:
        return [name for name in misfits if not misfits[name]]
    line, form = misfits[fewest][0], WRITINGS[fewest].form
    if len(misfits[fewest]) == len(lines):
        forms = ", ".join(f"{WRITINGS[name].form!r} ({name})" for name in misfits)
        raise ValueError(
            f"line {line.number}: {line.left!r} is written like no family here; known: {forms}"
        )
    raise ValueError(
        f"line {line.number}: mixed formats: {line.left!r} is not written like {form!r}, as other "
        f"lines are ({fewest})"
    )


def _unknown_word(family: Family, line: Line, words: Words) -> str | None:
    """What is wrong with a line's words, or None."""
    try:
        given = [word for word in family.layout(words) if word != BLANK]
    except IndexError:
        given = list(words)
    for word, known in [(word, family.domain) for word in given] + (
        [(line.label, family.coordinate)] if line.label else []
    ):
        if word not in known:
            near = [] if word.isdigit() else difflib.get_close_matches(word, known, 1)
            role = "label" if known is family.coordinate else "input"
            hint = f"; did you mean {near[0]!r}?" if near else f"; {_span(family, known)}"
            return (
                f"line {line.number}: unknown word {word!r} as {role} in {line.text!r} "
                f"({family.name}){hint}"
            )
    return None


def _span(family: Family, known: object) -> str:
    words = (
        sorted(known, key=lambda word: (len(word), word))
        if all(word.isdigit() for word in known)
        else sorted(known)
    )
    return f"known are {len(words)} words, from {words[0]!r} to {words[-1]!r}"
