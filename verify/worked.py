"""The command `python -m verify.worked`: draw the tutorial's example, what each layer writes at
each token.

Two tasks on vectors of dimension 2, three examples. The numbers are read off a trace of Theorem 1's
transformer.
"""

from pathlib import Path

import numpy as np

from construct import Prompt, Spec, Task, Trace, build
from verify import cli
from verify.svg import page, text

PROG = "python -m verify.worked"
TOKENS = ("BOS", "x1", "y1", "x2", "y2", "x3", "y3", "query", "answer")
# What the layers write to. Of the rest, the constant, the flags and the position codes, no layer
# changes a number.
SHOWN = ("x", "y", "z", "count", "ok")
LEFT, CELL, ROW, TOP = 118, 106, 58, 58


def example() -> Trace:
    """Task 0 turns by a quarter, task 1 doubles; examples of task 0, 1, 0; the query is (2, 0)."""
    turn = Task(slot=0, weight=np.array([[0.0, -1.0], [1.0, 0.0]]))
    double = Task(slot=0, weight=2 * np.eye(2))
    spec = Spec.of([turn, double], m=3, n=2, margin=1.0, radius=4.0, input_radius=2.0)
    prompt = Prompt(
        inputs=np.array([[[1.0, 0.0]], [[0.0, 1.0]], [[1.0, 1.0]]]),
        labels=np.array([[0.0, 1.0], [0.0, 2.0], [-1.0, 1.0]]),
        query=np.array([[2.0, 0.0]]),
    )
    return build(spec, [turn, double]).trace(prompt)


def written(trace: Trace) -> list[tuple[str, list[list[str]]]]:
    """By layer, before the first what the prompt brings: at each token, the subspaces that changed,
    with their numbers."""
    rows, before = [], None
    for layer in trace.streams:
        cells: list[list[str]] = [[] for _ in TOKENS]
        for subspace in SHOWN:
            now = trace.read(layer, subspace)
            old = np.zeros_like(now) if before is None else trace.read(before, subspace)
            for token in np.flatnonzero(np.abs(now - old).max(1) > 1e-6):
                numbers = ", ".join(f"{value:.3g}" for value in np.round(now[token], 6) + 0.0)
                cells[token].append(f"{subspace} = {numbers}")
        rows.append(("the prompt" if before is None else layer, cells))
        before = layer
    return rows


def draw(trace: Trace) -> str:
    """The table of a trace as SVG: a row a layer, a column a token."""
    rows = written(trace)
    width, height = LEFT + CELL * len(TOKENS) + 14, TOP + ROW * len(rows) + 12
    parts: list[str] = []
    for column, token in enumerate(TOKENS):
        parts.append(text(LEFT + CELL * column + 6, 36, token, "head"))
    for row, (layer, cells) in enumerate(rows):
        top = TOP + ROW * row
        name = layer if not row else f"{row} {layer.capitalize()}"
        parts.append(text(12, top + 22, name, "head"))
        for column, lines in enumerate(cells):
            if not lines:
                continue
            x = LEFT + CELL * column
            parts.append(
                f'<rect class="box" x="{x}" y="{top}" width="{CELL - 4}" height="{ROW - 5}" '
                'rx="4"/>'
            )
            parts += [text(x + 5, top + 16 + 16 * i, line, "cell") for i, line in enumerate(lines)]
        if row and not any(cells):
            parts.append(text(LEFT + 6, top + 22, "nothing to do: no ReLU features", "soft"))
    title = "What each layer writes at each token of the worked example"
    return page(title, width, height, parts)


def main() -> int:
    """Run the example, and draw."""
    parser = cli.Parser(PROG, description="Draw the tutorial's worked example.")
    parser.add_argument(
        "--out",
        type=cli.drawing,
        default="docs/worked.svg",
        metavar="PATH.svg",
        help="where to write it (docs/worked.svg)",
    )
    options = parser.parse_args()
    Path(options.out).write_text(draw(example()), encoding="utf-8")
    print(f"wrote {options.out}")
    return cli.HOLDS


if __name__ == "__main__":
    cli.run(main, PROG)
