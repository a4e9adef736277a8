"""The lines of a typed prompt, split at their arrows. Every error names the line."""

from dataclasses import dataclass

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
        if line.count("->") > 1:
            raise ValueError(
                f"line {number}: {line!r} has more than one '->'; write one example a line, or put "
                "' / ' between examples"
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
