"""How is anything measured here? Interleaved runs and their medians, the machine, one JSON file and
one plot for all questions.

A question is a module of this package with a `QUESTION`; `python -m benchmarks` asks all of them,
`python -m benchmarks.NAME` one.
"""

import argparse
import json
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from verify import extras, plots
from verify.cli import HOLDS, Parser, run, whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.table import Table

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("numpy", "jax", "jaxlib", "flax", "dm-haiku", "torch")
REPEATS = 7
# Seconds: a call that is shorter is repeated for so long in its turn, after one that warms the
# caches up and waits for threads that still spin from the turn before.
BURST = 0.25

Record = dict[str, Any]
Tell = Callable[[str], None]  # what is being run just now, for the progress bar


@dataclass(frozen=True)
class Question:
    """One question: its name in the JSON, its text, the cases that answer it, and how to measure,
    tabulate and draw them.

    cases(options) -> cases; measure(case, options, tell) -> a record of JSON values, or several of
    what ran in the same rounds; `options` are the command's arguments.
    """

    name: str
    text: str
    cases: Callable[[argparse.Namespace], list]
    measure: Callable[[Any, argparse.Namespace, Tell], Record | list[Record]]
    table: Callable[[list[Record]], "Table"]
    draw: Callable[["Axes", list[Record]], None]
    add_options: Callable[[argparse.ArgumentParser], None] = lambda parser: None


@dataclass(frozen=True)
class Timing:
    """Seconds of the first call, which may compile, and of one in each later round."""

    first: float
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median of the rounds, in seconds."""
        return float(np.median(self.seconds))

    def times(self, other: "Timing") -> float:
        """How many times slower than another that ran in the same rounds: the median over the
        rounds."""
        return float(np.median(np.divide(self.seconds, other.seconds)))

    def report(self) -> Record:
        """As JSON holds it."""
        return {
            "first_s": self.first,
            "median_s": self.median,
            "least_s": min(self.seconds),
            "repeats": len(self.seconds),
        }


def timed(call: Callable[[], object]) -> tuple[float, Any]:
    """Seconds until the result of a call is there, and the result."""
    started = time.perf_counter()
    result = jax.block_until_ready(call())
    return time.perf_counter() - started, result


def turn(call: Callable[[], object]) -> float:
    """Seconds of one call in its turn; of a short one, the median of a burst of calls after a
    first."""
    first = timed(call)[0]
    if first >= BURST:
        return first
    seconds = []
    while sum(seconds) < BURST:
        seconds.append(timed(call)[0])
    return float(np.median(seconds))


def interleave(
    calls: Mapping[str, Callable[[], object]],
    repeats: int,
    tell: Tell,
    first: Mapping[str, float] | None = None,
) -> dict[str, Timing]:
    """Time calls in rounds, one of each a round, so that a change of the machine's load meets all
    of them alike.

    first: the seconds of first calls that were made already; the others are made here, before the
    rounds.
    """
    first = dict(first or {})
    for name, call in calls.items():
        if name not in first:
            tell(f"{name}, first")
            first[name] = timed(call)[0]
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for i in range(repeats):
        for name, call in calls.items():
            tell(f"{name}, {i + 1} of {repeats}")
            seconds[name].append(turn(call))
    return {name: Timing(first[name], tuple(seconds[name])) for name in calls}


def square(side: int) -> jax.Array:
    """A random square matrix in float32."""
    return jnp.asarray(np.random.default_rng(0).normal(size=(side, side)).astype(np.float32))


@jax.jit
def product(square: jax.Array) -> jax.Array:
    """The machine's matrix product, of a square with itself: at the highest precision, its sums in
    float32."""
    return jnp.matmul(
        square, square, precision=jax.lax.Precision.HIGHEST, preferred_element_type=jnp.float32
    )


def machine() -> Record:
    """What ran this: device, processor, cores, memory, load, and the versions of what matters
    (null: not installed)."""
    device = jax.devices()[0]
    return {
        "platform": device.platform,
        "device": _processor() if device.platform == "cpu" else device.device_kind,
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_average": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _processor() -> str:
    try:
        found = re.search(
            r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE
        )
    except OSError:
        found = None
    return found.group(1).strip() if found else platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def default_path(questions: Sequence["Question"] = ()) -> Path:
    """A file in benchmarks/results that is named by the device and its cores, and by the question
    where it is one alone: so that it is no other's record that it replaces."""
    here = machine()
    words = (
        f"{here['device']} {here['cores']} cores" if here["platform"] == "cpu" else here["device"]
    )
    if len(questions) == 1:
        words += f" {questions[0].name}"
    return RESULTS / (re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") + ".json")


def path(text: str | None, questions: Sequence["Question"] = ()) -> Path:
    """The JSON file to write, checked before anything long is run. Raises ValueError when it cannot
    be written."""
    out = default_path(questions) if text is None else Path(text)
    if out.suffix != ".json":
        raise ValueError(
            f"--out {out}: must end in .json; the plot goes beside it as .png and .svg"
        )
    try:
        if text is None:
            out.parent.mkdir(exist_ok=True)
        with out.open("a"):
            pass
    except OSError as error:
        raise ValueError(
            f"--out {out}: {error.strerror}; pass a path in a folder that exists and can be written"
        ) from None
    return out


@contextmanager
def bar(total: int) -> Iterator[tuple[Tell, Callable[[], None]]]:
    """tell(what runs now) and done() for each of `total` cases: a bar on stderr, or a line a case
    if that is no terminal."""
    if not sys.stderr.isatty():
        last, count = [""], iter(range(1, total + 1))

        def line() -> None:
            print(f"{next(count)} of {total}: {last[0]}", file=sys.stderr, flush=True)

        yield (lambda text: last.__setitem__(0, text.partition(" | ")[0])), line
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=total)
        yield (
            (lambda text: progress.update(task, description=text)),
            (lambda: progress.advance(task)),
        )


def ask(questions: Sequence[Question], options: argparse.Namespace) -> Record:
    """Answer the questions: a report of JSON values, with a list of records by question."""
    report: Record = {
        "machine": machine(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "repeats": options.repeats,
    }
    work = [(question, case) for question in questions for case in question.cases(options)]
    report |= {question.name: [] for question in questions}
    with bar(len(work)) as (tell, done):
        for question, case in work:
            label = f"{question.name} {case}"
            tell(label)
            found = question.measure(
                case, options, lambda text, label=label: tell(f"{label} | {text}")
            )
            report[question.name] += found if isinstance(found, list) else [found]
            done()
    return report


def write(report: Record, questions: Sequence[Question], out: Path) -> list[Path]:
    """Write the report as strict JSON and one plot with a panel a question beside it; returns the
    paths."""
    out.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    here = report["machine"]
    with plots.figure(-(-len(questions) // 2), min(2, len(questions)), width=6.0, height=4.0) as (
        drawing,
        axes,
    ):
        for question, panel in zip(questions, axes, strict=False):
            panel.set_title(question.text, fontsize=8, wrap=True)
            question.draw(panel, report[question.name])
        for panel in axes[len(questions) :]:
            panel.set_axis_off()
        drawing.suptitle(
            f"{here['device']}, {here['cores']} cores, JAX {here['versions']['jax']}", fontsize=9
        )
        return [out, *plots.save(drawing, str(out.with_suffix("")))]


def command(questions: Sequence[Question], prog: str) -> None:
    """The command that asks these questions: tables on stdout, JSON and a plot in files. Exit code
    2 for a bad request."""

    def main() -> int:
        parser = Parser(prog=prog, description=" ".join(question.text for question in questions))
        parser.add_argument(
            "--out",
            metavar="PATH.json",
            help="where to write; default: benchmarks/results, by device and question",
        )
        parser.add_argument(
            "--repeats",
            type=whole(1),
            default=REPEATS,
            help=f"rounds, of which medians are taken ({REPEATS})",
        )
        for question in questions:
            question.add_options(parser)
        options = parser.parse_args()
        extras.need(*extras.TABLES, *extras.PLOTS)
        out = path(options.out, questions)
        from rich.console import Console

        report = ask(questions, options)
        written = write(report, questions, out)
        console = Console(width=None if sys.stdout.isatty() else 100)
        for question in questions:
            console.print(f"\n{question.text}", style="bold")
            console.print(question.table(report[question.name]))
        console.print(f"wrote {', '.join(str(one) for one in written)}", soft_wrap=True)
        return HOLDS

    run(main, prog, keep_programs=False)  # a first call compiles
