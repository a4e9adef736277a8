"""The command `python -m verify.prompt`: a typed prompt in, the superposition of tasks out, beside
what the words alone say.

    python -m verify.prompt --text 'France->Paris / Japan->Asia / Brazil->'
    python -m verify.prompt --tasks verbs --theorem 3 --text 'walk->walked / sing->singing / go->'
    python -m verify.prompt --tasks my.csv --text '...'    (see verify.families.tables)

The transformer is built for the words that the prompt needs, not for all of its family's.
"""

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from verify import cli, extras

if TYPE_CHECKING:
    from rich.console import Console

    from construct import Answer
    from verify.families.text import TextPrompt
    from verify.families.writing import Writing
    from verify.theorem import Theorem

PROG = "python -m verify.prompt"
# Lists longer than this are shortened on the terminal; --json has everything.
ROWS = 24
# What stands for the answer of a task that says nothing.
NOTHING = "(nothing)"


@dataclass(frozen=True, eq=False)
class Reply:
    """What the transformer says of a typed prompt, and what follows from the words alone.

    text: the prompt, in the family that has its words alone, and theorem the number of the theorem
    whose transformer was asked. explained: by example, the tasks whose function gives its label.
    expected (d,): the superposition of the tasks' answers.
    """

    text: "TextPrompt"
    theorem: int
    answer: "Answer"
    explained: tuple[tuple[int, ...], ...]
    expected: np.ndarray
    error_bound: float
    seconds: float

    @property
    def error(self) -> float:
        """Distance of the answer from the expected one, in max norm."""
        return float(np.max(np.abs(self.answer.vector.astype(np.float64) - self.expected)))

    @property
    def holds(self) -> bool:
        """Every example was recognized as the words say, and the answer is within the theorem's
        bound."""
        recognized = [tasks[0] if len(tasks) == 1 else -1 for tasks in self.explained]
        return self.error <= self.error_bound and bool((self.answer.recognized == recognized).all())

    @property
    def distribution(self) -> list[tuple[str | None, float]]:
        """The words that the answer gives a probability, the likeliest first: one that has evidence
        has at least 1/M. None: tasks that say nothing."""
        vector, words = self.answer.vector, self.text.family.vocabulary
        least = 1 / max(self.answer.evidence, 1)
        likely = [int(i) for i in np.argsort(-vector, kind="stable") if vector[i] > least / 2]
        return [(_spoken(words[i]), float(vector[i])) for i in likely]

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """By task: its examples and prevalence, its answer to the query (None: it says nothing),
        and that answer's probability."""
        family = self.text.family
        return [
            {
                "name": name,
                "examples": int(self.answer.counts[i]),
                "prevalence": float(self.answer.prevalence[i]),
                "answer": _spoken(word),
                "probability": float(self.answer.vector[family.coordinate[word]]),
            }
            for i, (name, word) in enumerate(
                zip(family.names, family.answers(self.text.query), strict=True)
            )
        ]

    @property
    def other(self) -> float:
        """The probability that is on no task's answer."""
        places = {
            self.text.family.coordinate[word] for word in self.text.family.answers(self.text.query)
        }
        return float(np.delete(self.answer.vector.astype(np.float64), list(places)).sum())

    def why(self, example: int) -> str:
        """Why an example was abstained on; empty where it counts."""
        tasks = self.explained[example]
        if len(tasks) == 1:
            return ""
        names = self.text.family.names
        return (
            f"{len(tasks)} tasks explain it: {', '.join(names[i] for i in tasks)}"
            if tasks
            else "no task explains it"
        )

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        names = self.text.family.names
        return {
            "holds": self.holds,
            "theorem": self.theorem,
            "family": self.text.family.name,
            "d": len(self.text.family.vocabulary),
            "query": self.text.query_line.left,
            "message": self.answer.message,
            "evidence": self.answer.evidence,
            "distribution": [
                {"word": word, "probability": probability}
                for word, probability in self.distribution
            ],
            "other": self.other,
            "tasks": self.tasks,
            "examples": [
                {
                    "line": line.number,
                    "text": line.text,
                    "recognized": None if task < 0 else names[task],
                    "explained_by": [names[i] for i in self.explained[j]],
                    "why_abstained": self.why(j) or None,
                }
                for j, (line, task) in enumerate(
                    zip(self.text.lines, self.answer.recognized, strict=True)
                )
            ],
            "max_error": self.error,
            "error_bound": self.error_bound,
            "dtype": self.text.family.dtype,
            "seconds": round(self.seconds, 3),
        }

    def show(self, console: "Console") -> None:
        """Print the answer by task, then the examples; long lists are shortened."""
        from rich.box import SIMPLE_HEAD
        from rich.markup import escape
        from rich.table import Table

        family = self.text.family
        console.print(
            f"family {escape(family.name)}, Theorem {self.theorem} ({family.dtype}, "
            f"d = {len(family.vocabulary)}), query {escape(self.text.query_line.left)}  "
            f"{self.answer.message}"
        )
        table = Table("task", "examples", "prevalence", "answer", "probability", box=SIMPLE_HEAD)
        for column in (1, 2, 4):
            table.columns[column].justify = "right"
        for task in self.tasks:
            numbers = (
                f"{task['examples']}",
                f"{task['prevalence']:.6f}",
                f"{round(task['probability'], 6) + 0.0:.6f}",  # no "-0.000000"
            )
            answer = NOTHING if task["answer"] is None else task["answer"]
            table.add_row(escape(task["name"]), *numbers[:2], escape(answer), numbers[2])
        table.add_row("other", "", "", "", f"{abs(self.other):.6f}")
        console.print(table)
        rows = Table("line", "example", "recognized as", box=SIMPLE_HEAD)
        for j, line in enumerate(self.text.lines[:ROWS]):
            task = self.answer.recognized[j]
            rows.add_row(
                str(line.number),
                escape(line.text),
                escape(family.names[task] if task >= 0 else f"abstained: {self.why(j)}"),
            )
        console.print(rows)
        if len(self.text.lines) > ROWS:
            abstained = int((self.answer.recognized[ROWS:] < 0).sum())
            console.print(
                f"and {len(self.text.lines) - ROWS} more examples, {abstained} abstained on; "
                "--json lists all"
            )
        console.print(
            f"error {self.error:.2e} {'<=' if self.error <= self.error_bound else 'EXCEEDS'} bound "
            f"{self.error_bound:.2e}"
            f" ({self.seconds:.1f} s)"
        )


def ask(text: "TextPrompt", m: int | None = None, theorem: int = 1) -> Reply:
    """Build a theorem's transformer for prompts of this many examples and of these words, and ask
    it. Raises ValueError if it refuses."""
    started = time.perf_counter()
    text, record = text.narrowed(), theorem_of(theorem)
    family = text.family
    explained = tuple(family.explain(*example) for example in text.examples)
    if not record.ambiguity:
        _check_unambiguous(text, explained, theorem)
    spec = family.spec(m or len(text.examples))
    try:
        model = record.build(spec, family.tasks, family.feature_map)
    except ValueError as error:
        raise ValueError(
            f"Theorem {theorem} cannot perform the family {family.name}: {error}"
        ) from None
    prompt = family.prompt(text.examples, text.query)
    answer = model(prompt)
    expected = superposition(explained, family.vectors(family.answers(text.query)))
    bound = record.proof.error_bound(
        spec, prompt, tasks=family.tasks, feature_map=family.feature_map
    )
    seconds = time.perf_counter() - started
    return Reply(text, theorem, answer, explained, expected, bound, seconds)


def theorem_of(number: int) -> "Theorem":
    """The record of a theorem, by its number."""
    from verify.theorem import ALL

    return ALL[number]


def _check_unambiguous(
    text: "TextPrompt", explained: tuple[tuple[int, ...], ...], theorem: int
) -> None:
    for line, tasks in zip(text.lines, explained, strict=True):
        if len(tasks) > 1:
            names = ", ".join(text.family.names[i] for i in tasks)
            raise ValueError(
                f"line {line.number}: {line.text!r} is explained by {names}: Theorem {theorem} "
                "allows one explanation at most; drop the line or use Theorem 1, which abstains on "
                "it"
            )


def _spoken(word: str) -> str | None:
    """A word of an answer, None where it stands for saying nothing."""
    from construct.families.family import SILENT

    return None if word == SILENT else word


def superposition(explained: tuple[tuple[int, ...], ...], outputs: np.ndarray) -> np.ndarray:
    """sum_i (m_i / M) g_i(query) from the definition: the mean output over the examples that one
    task alone explains."""
    counted = [tasks[0] for tasks in explained if len(tasks) == 1]
    return outputs[counted].mean(0) if counted else np.zeros(outputs.shape[1])


def parser() -> cli.Parser:
    """The options of the command."""
    from verify.families import WRITINGS
    from verify.families.tables import SHIPPED

    parser = cli.Parser(
        PROG,
        description="Ask the constructed transformer a prompt as people type it: one example a "
        "line, the query last.",
        epilog="Written like: "
        + ", ".join(f"{writing.form} ({name})" for name, writing in WRITINGS.items())
        + f"; and the tables {', '.join(SHIPPED)}. Blanks and letter case are forgiven where a "
        "word can be but one.",
    )
    parser.add_argument(
        "file", nargs="?", metavar="FILE", help="the prompt; '-' reads standard input"
    )
    parser.add_argument(
        "--text",
        help="the prompt itself; a backslash and n, or a slash between blanks, ends a line",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--family",
        choices=tuple(WRITINGS),
        help="the task family (default: picked by how the lines are written)",
    )
    which.add_argument(
        "--tasks",
        metavar="TABLE",
        help=f"a table of tasks instead: {', '.join(SHIPPED)}, or a .csv, .tsv or .json file with "
        "a column of inputs and a column for each task; a blank cell: the task says nothing there",
    )
    parser.add_argument(
        "--inputs",
        action="append",
        metavar="COLUMN",
        help="a column of the table that holds inputs; may be repeated (the first column)",
    )
    parser.add_argument(
        "--theorem",
        type=int,
        choices=(1, 2, 3),
        default=1,
        help="whose transformer: Theorem 1, 2 or 3 (1)",
    )
    cli.add_json(parser)
    return parser


def source(file: str | None, text: str | None) -> str:
    """The prompt's text from a file, standard input or the option itself. Raises ValueError or
    OSError."""
    if text is not None and file is None:
        return text.replace("\\n", "\n").replace(" / ", "\n")
    if text is not None or file is None:
        raise ValueError("pass a FILE ('-' for standard input) or --text, one of the two")
    if file == "-":
        return sys.stdin.read()
    return cli.read_file(file)


def table(tasks: str, inputs: list[str] | None) -> "dict[str, Writing]":
    """The one family of a table, as prompts of it are typed. Raises ValueError that names the
    table's line."""
    from verify.families.tables import load, writing

    loaded = load(tasks, inputs)
    return {loaded.name: writing(loaded)}


def main() -> int:
    """Answer a typed prompt; 0 with an answer, also if it says 'no evidence', 1 if it contradicts
    the words."""
    options = parser().parse_args()
    if options.inputs and not options.tasks:
        raise ValueError("--inputs: names columns of a table; pass the table with --tasks")
    extras.need(*extras.TABLES)
    from verify.families.text import read

    writings = table(options.tasks, options.inputs) if options.tasks else None
    text = read(source(options.file, options.text), options.family, writings)
    reply = ask(text, theorem=options.theorem)
    if options.json != "-":
        from rich.console import Console

        reply.show(Console())
    if options.json is not None:
        cli.write_json(reply.as_json(), options.json)
    if not reply.holds:
        print(f"{PROG}: the answer is not the superposition that the words define", file=sys.stderr)
    return cli.HOLDS if reply.holds else cli.FAILS


if __name__ == "__main__":
    cli.run(main, PROG)
