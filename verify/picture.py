"""The command `python -m verify.picture`: draw the README's picture, a typed prompt and its
answer.

The shares are the transformer's own.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from verify import cli
from verify.svg import page, text

if TYPE_CHECKING:
    from verify.prompt import Reply

PROG = "python -m verify.picture"
# Three examples of the past tense and seven of the -ing form: 30% and 70%.
PROMPT = (
    "walk->walked / sing->sang / take->took / play->playing / write->writing / give->giving / "
    "run->running / see->seeing / help->helping / eat->eating / go->"
)
LAYERS = ("Lift", "Pair", "Recognize", "Commit", "Fetch", "Execute", "Superpose")
WIDTH, ROW, TOP = 840, 24, 54
BAR = 150  # of an answer with all the weight


def draw(reply: "Reply") -> str:
    """The picture of a prompt with two tasks, as SVG."""
    typed = reply.text
    names = typed.family.names
    tasks = [i for i, task in enumerate(reply.tasks) if task["examples"]]
    colors = {task: f"task{place}" for place, task in enumerate(tasks)}
    height = TOP + ROW * (len(typed.lines) + 1) + 22
    parts = [
        text(28, 30, "A prompt with two tasks", "head"),
        text(332, 30, "The transformer", "head"),
        text(560, 30, "Its answer to the last line", "head"),
    ]
    for row, (line, found) in enumerate(zip(typed.lines, reply.explained, strict=True)):
        y, task = TOP + 12 + ROW * row, found[0]
        left, right = line.text.split("->")
        parts += [
            f'<circle class="{colors[task]}" cx="36" cy="{y - 5}" r="5"/>',
            text(50, y, f"{left} \u2192 {right}", "word"),
            text(196, y, names[task], "soft"),
        ]
    y = TOP + 12 + ROW * len(typed.lines)
    parts.append(text(50, y, f"{typed.query_line.left[:-2]} \u2192 ?", "word head"))
    middle = TOP + ROW * len(LAYERS) // 2 + 30
    parts += [_arrow(278, middle), _arrow(510, middle)]
    for row, name in enumerate(LAYERS):
        y = middle + (2 * row - len(LAYERS)) * 17
        parts += [
            f'<rect class="box" x="330" y="{y}" width="160" height="28" rx="4"/>',
            text(342, y + 19, f"{row + 1}  {name}"),
        ]
    parts.append(text(330, middle + 148, "explicit weights, no training", "soft"))
    for place, task in enumerate(tasks):
        row, y = reply.tasks[task], middle - 50 + 70 * place
        share = row["probability"]
        parts += [
            text(560, y, f"{row['answer']}", "word head"),
            f'<rect class="{colors[task]}" x="630" y="{y - 13}" width="{BAR * share:.1f}" '
            'height="16" rx="2"/>',
            text(638 + BAR * share, y, f"{share:.0%}", "head"),
            text(
                560,
                y + 22,
                f"{row['examples']} of {len(typed.lines)} examples: {names[task]}",
                "soft",
            ),
        ]
    rows = [reply.tasks[task] for task in tasks]
    says = "; ".join(f"{row['answer']} {row['probability']:.0%}" for row in rows)
    title = f"Ten examples of two tasks, and the transformer's answer: {says}"
    return page(title, WIDTH, height, parts)


def _arrow(x: int, y: int) -> str:
    return f'<path class="arrow" d="M{x} {y}h34m-8 -6l8 6l-8 6"/>'


def main() -> int:
    """Ask the transformer, and draw; 0, or 1 where its answer is not the prompt's mixture."""
    parser = cli.Parser(PROG, description="Draw the README's picture.")
    parser.add_argument(
        "--out",
        type=cli.drawing,
        default="docs/superposition.svg",
        metavar="PATH.svg",
        help="where to write it (docs/superposition.svg)",
    )
    options = parser.parse_args()
    from verify.families.text import read
    from verify.prompt import ask, source, table

    reply = ask(read(source(None, PROMPT), None, table("verbs", None)))
    Path(options.out).write_text(draw(reply), encoding="utf-8")
    print(f"wrote {options.out}")
    return cli.HOLDS if reply.holds else cli.FAILS


if __name__ == "__main__":
    cli.run(main, PROG)
