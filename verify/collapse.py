"""The command `python -m verify.collapse`: does a generated answer collapse onto one task?

Four tasks describe a city in four words, and part one after the other: "a city of love", "the city
of light", "the capital for fashion", "the capital of France". A prompt mixes them. The figure shows
the posterior over tasks before each word: along single samples and over all of them, under greedy
decoding, and where the mixture itself is fed back. Dashes are the definition's. --subject follows
any transformer of the bench that writes instead, on tasks of its own; `run` and `plot` take any
model at all (`verify.posteriors.Subject`)."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from verify import cli, extras

if TYPE_CHECKING:
    from construct.words import WordPrompt, WordTask
    from verify.posteriors import Paths, Subject

PROG = "python -m verify.collapse"

CITIES = {
    "Paris": ("France", "fashion", "light", "love"),
    "Rome": ("Italy", "antiquity", "fountains", "hills"),
    "Vienna": ("Austria", "music", "waltzes", "dreams"),
    "Lisbon": ("Portugal", "fado", "hills", "light"),
    "Kyoto": ("temples", "tea", "gardens", "maples"),
}
BEGINNINGS = ("the capital of", "the capital for", "the city of", "a city of")
NAMES = ("country", "trade", "sight", "feeling")
COUNTS = (8, 6, 4, 2)
LIMIT_LINES = 24


class Scene(NamedTuple):
    """Words, tasks on them, and a prompt."""

    words: list[str]
    tasks: "list[WordTask]"
    prompt: "WordPrompt"


def parser() -> cli.Parser:
    """The options of the command."""
    parser = cli.Parser(
        PROG,
        description="Show the posterior over tasks along generated answers, as table and figure.",
    )
    add = parser.add_argument
    add(
        "--counts",
        type=cli.whole(0),
        nargs="+",
        default=COUNTS,
        metavar="M",
        help="examples of each task (8 6 4 2, or as many of these as there are tasks)",
    )
    add(
        "--subject",
        metavar="SUBJECT",
        help="follow this subject of verify.bench on a prompt of --set: theorem4, a trained "
        "decoder, smollm2",
    )
    add("--set", metavar="SET", help="a set of verify.bench's tasks, for --subject (chain4)")
    add("--samples", type=cli.whole(1), default=400, help="sampled answers (400)")
    add("--seed", type=cli.whole(0), default=0, help="seed of the samples (0)")
    add("--dtype", choices=("float32", "float64"), default="float32", help="format (float32)")
    add(
        "--out",
        type=cli.stem,
        default="collapse",
        metavar="STEM",
        help="write STEM.png and STEM.svg (collapse)",
    )
    cli.add_json(parser)
    return parser


def scene(counts: Sequence[int]) -> Scene:
    """So many examples of each task, about all cities but Paris in turn, and Paris as the query.
    Raises ValueError if there is no example."""
    import numpy as np

    from construct.words import BLANK, WordPrompt, WordTask

    check_counts(counts, len(NAMES))
    said = [begin.split() for begin in BEGINNINGS]
    last = [word for words in CITIES.values() for word in words]
    words = list(dict.fromkeys([*CITIES, *(w for words in said for w in words), *last]))
    number = {word: i for i, word in enumerate(words)}
    tasks = []
    for i, begin in enumerate(said):
        table = np.full((len(begin) + 1, len(words)), BLANK)
        for city, ends in CITIES.items():
            table[:, number[city]] = [number[word] for word in (*begin, ends[i])]
        tasks.append(WordTask(0, table))
    cities = [number[city] for city in CITIES if city != "Paris"]
    lines = []
    for task, count in zip(tasks, counts, strict=True):
        for j in range(count):
            city = cities[j % len(cities)]
            lines.append((city, task.words[:, city]))
    order = np.random.default_rng(0).permutation(len(lines))
    inputs, answers = zip(*(lines[j] for j in order), strict=True)
    prompt = WordPrompt(np.array(inputs)[:, None], np.array(answers), np.array([number["Paris"]]))
    return Scene(words, tasks, prompt)


def check_counts(counts: Sequence[int], K: int) -> None:
    """Refuse counts that are not one a task, or all 0."""
    if len(counts) != K:
        raise ValueError(f"--counts: {len(counts)} numbers for {K} tasks; pass one a task")
    if not sum(counts):
        raise ValueError("--counts: all are 0; ask for one example at least")


def run(
    subjects: "Sequence[Subject]",
    prompt: Any,
    samples: int,
    seed: int = 0,
    steps: int | None = None,
) -> "list[list[Paths]]":
    """By subject, its answers under every decoding that it has; prompt: of a kind that all know,
    steps: words, by default those of its examples' answers."""
    from construct.generator import DECODINGS
    from verify.posteriors import paths

    return [
        [
            paths(subject, prompt, how, samples=samples, seed=seed, steps=steps)
            for how in DECODINGS
            if subject.soft or how != "superposed"
        ]
        for subject in subjects
    ]


def expected(due: "Paths") -> "Paths":
    """The definition's posterior, for samples its mean over all answers: it stays the prior, as
    long as every task goes on."""
    import numpy as np

    if due.how != "sample":
        return due
    first = due.posteriors[:1, :1]
    steps = due.posteriors.shape[1]
    return replace(due, posteriors=np.repeat(first, steps, axis=1), words=None)


def plot(
    found: "list[list[Paths]]", due: "list[Paths]", names: Sequence[str], stem: str
) -> list[Path]:
    """Write STEM.png and STEM.svg: a row a subject, a column a decoding. due: the definition's."""
    import numpy as np

    from verify import plots

    with plots.figure(len(found), len(due), width=4.2, height=3.1) as (drawing, axes):
        wanted = {one.how: one for one in due}
        for row, ways in enumerate(found):
            shown = axes[row * len(due) : (row + 1) * len(due)]
            for axis in shown[len(ways) :]:
                axis.set_axis_off()
            for axis, one in zip(shown, ways, strict=False):
                _panel(axis, one, wanted[one.how], names)
        handles, labels = axes[0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
        drawing.supylabel("posterior over tasks")
        steps = np.arange(due[0].posteriors.shape[1])
        for axis in axes:
            axis.set_xticks(steps)
        return plots.save(drawing, stem)


def _panel(axis: Any, one: "Paths", due: "Paths", names: Sequence[str]) -> None:
    import numpy as np

    from verify import plots

    steps = np.arange(one.posteriors.shape[1])
    for i, name in enumerate(names):
        color = plots.PALETTE[i % len(plots.PALETTE)]
        if len(one.posteriors) > 1:
            # Different paths once each, a little apart, as thick as they are frequent.
            lines, counts = np.unique(one.posteriors[:, :, i], axis=0, return_counts=True)
            for line, count in list(zip(lines, counts, strict=True))[:LIMIT_LINES]:
                width = 0.5 + 4 * count / len(one.posteriors)
                axis.plot(steps, line, color=color, alpha=0.3, linewidth=width)
        axis.plot(
            steps,
            one.ensemble[:, i],
            color=color,
            marker=plots.MARKERS[i % len(plots.MARKERS)],
            label=name,
            linewidth=1.5,
        )
        label = "the definition" if i == len(names) - 1 else None
        axis.plot(
            steps, due.ensemble[:, i], "_", color="black", markersize=13, label=label, zorder=5
        )
    title = {"sample": "sampled: thin lines single answers, markers their mean"}
    axis.set_title(f"{one.subject}, {title.get(one.how, one.how)}", fontsize=9)
    axis.set_xlabel("words said")
    axis.set_ylim(-0.03, 1.03)


def as_json(found: "list[list[Paths]]", due: "list[Paths]", seed: int) -> list[dict[str, Any]]:
    """By subject and decoding, the numbers of the figure."""
    wanted = {one.how: one for one in due}
    return [
        {
            "subject": one.subject,
            "decoding": one.how,
            "answers": len(one.posteriors),
            "posterior": one.ensemble.tolist(),
            "definition": wanted[one.how].ensemble.tolist(),
            "tasks_left": one.tasks_left.tolist(),
            "seed": seed,
        }
        for ways in found
        for one in ways
    ]


def show(found: "list[list[Paths]]", due: "list[Paths]", names: Sequence[str]) -> None:
    """Print a table: the posterior of each task before each word, over the ensemble."""
    import numpy as np
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    wanted = {one.how: one for one in due}
    table = Table("model", "decoding", "said", *names, "off", "left", box=SIMPLE_HEAD, padding=0)
    for column in table.columns:
        column.no_wrap = True
    for column in table.columns[2:]:
        column.justify = "right"
    for ways in found:
        for one in ways:
            for t, (row, left) in enumerate(zip(one.ensemble, one.tasks_left, strict=True)):
                off = np.abs(row - wanted[one.how].ensemble[t]).max()
                cells = [*(f"{held:.3f}" for held in row), f"{off:.1e}"]
                head = (one.subject, one.how) if t == 0 else ("", "")
                table.add_row(*head, str(t), *cells, f"{left:.2f}")
    console = Console()
    console.print(table)
    console.print(
        "off: the farthest from the definition's (of samples, by chance too); left: how many "
        "tasks one answer could still be of, exp of its posterior's entropy, the mean over answers"
    )


class Followed(NamedTuple):
    """What is to be shown: the paths of one subject and the definition's, the tasks' and the words'
    names, and how far the theorem lets a posterior be off (None: nothing is claimed)."""

    found: "list[list[Paths]]"
    due: "list[Paths]"
    names: Sequence[str]
    words: list[str]
    bound: float | None


def theorem4(options: Any) -> Followed:
    """Theorem 4's transformer on the cities."""
    from construct.theorem4 import build, spec_of
    from proofs.theorem4 import error_bound
    from verify.posteriors import Definition, Transformer4

    words, tasks, prompt = scene(options.counts)
    spec = spec_of(tasks, m=prompt.examples, dtype=options.dtype)
    subject = Transformer4(build(spec, tasks))
    (due,) = run([Definition(tasks, spec.m)], prompt, options.samples, options.seed)
    found = run([subject], prompt, options.samples, options.seed)
    return Followed(found, due, NAMES, words, error_bound(spec))


def of_bench(options: Any) -> Followed:
    """A subject of the bench on a random prompt of a set. Raises ValueError for one that does not
    write, or counts that do not fit."""
    import numpy as np

    from verify.bench.methods.collapse import Law
    from verify.bench.subject import Writer
    from verify.bench.subjects import open_subject
    from verify.bench.tasksets import counted, open_set

    tasks = open_set(options.set or "chain4")
    counts = options.counts[: tasks.K] if options.counts is COUNTS else options.counts
    check_counts(counts, tasks.K)
    subject: Any = open_subject(options.subject)
    if not isinstance(subject, Writer):
        raise ValueError(
            f"--subject {options.subject}: says no next word; name theorem4, a trained decoder or "
            "smollm2"
        )
    subject.prepare(tasks, sum(counts))
    (case,) = counted(tasks, np.random.default_rng(options.seed), counts, 1)
    written = subject.written(case)
    words = subject.vocabulary
    (due,), found = (
        run([one], case, options.samples, options.seed, max(map(len, written)))
        for one in (Law(subject, len(words)), subject)
    )
    bound = getattr(subject, "error_bound", None)
    return Followed(found, due, tasks.names, list(words), bound)


def main() -> int:
    """Generate, print and plot; 0 if every posterior is within the bound of the definition's, where
    there is one, else 1."""
    options = parser().parse_args()
    if options.set and not options.subject:
        raise ValueError(f"--set {options.set}: is of --subject; pass both, or leave it out")
    extras.need(*extras.TABLES, *extras.PLOTS)
    import numpy as np

    found, due, names, words, bound = (of_bench if options.subject else theorem4)(options)
    # The same draws: what differs is rounding, unless a draw falls between two words' shares.
    holds = bound is None or all(
        bool(np.nanmax(np.abs(one.ensemble - wanted.ensemble)) <= bound)
        for one, wanted in zip(found[0], due, strict=True)
    )
    due = [expected(one) for one in due]
    paths = plot(found, due, names, options.out)
    if options.json != "-":
        show(found, due, names)
        sampled = found[0][0].words
        assert sampled is not None
        lines, counts = np.unique(sampled, axis=0, return_counts=True)
        for line, count in sorted(
            zip(lines.tolist(), counts, strict=True), key=lambda one: -one[1]
        ):
            print(f"{count:5} of {options.samples}: {' '.join(words[w] for w in line if w >= 0)}")
        print(f"wrote {', '.join(map(str, paths))}")
    if options.json is not None:
        report = {"holds": holds, "error_bound": bound}
        cli.write_json(report | {"paths": as_json(found, due, options.seed)}, options.json)
    if not holds:
        print(f"{PROG}: a posterior is not the definition's", file=sys.stderr)
    return cli.HOLDS if holds else cli.FAILS


if __name__ == "__main__":
    cli.run(main, PROG)
