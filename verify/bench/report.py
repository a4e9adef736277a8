"""The report: docs/bench.md's tables and figures from what is recorded.

The prose is written by people; what stands between `<!-- table: NAME -->` and `<!-- end -->` is
written here.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from verify.bench.methods import ALL as METHODS
from verify.bench.methods import completed
from verify.bench.runner import RESULTS
from verify.bench.tables import TABLES, Results, markdown, number

DOCS = Path(__file__).parent.parent.parent / "docs"
# What a figure shows, in order, of what there is.
PANELS = (
    ("theorem1", "ret4"),
    ("theorem3", "ret4"),
    ("ret4-layers4-width64", "ret4"),
    ("plus10-layers2-width32", "plus10"),
    ("smollm2", "past-ing"),
    ("smollm2", "numbers"),
    ("theorem1-noise-0.01", "ret4"),
    ("theorem1-noise-0.1", "ret4"),
    ("theorem4", "chain4"),
    ("chain4-layers2-width32", "chain4"),
)
# Of trained weights every head does a little: one is named by a tenth of the largest effect.
SHARE = 0.1
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def load(folder: Path = RESULTS) -> Results:
    """All recorded results. Raises ValueError where there are none."""
    found = {}
    for path in sorted(folder.glob("*/*.json")):
        result = json.loads(path.read_text())
        found[result["subject"], result["set"], result["method"]] = result
    if not found:
        raise ValueError(f"{folder}: no results; run python -m verify.bench")
    return found


def audited(results: Results) -> str:
    """The audit's table: what each method finds on the constructed subjects, and what it cannot
    see; and of what was trained back from noise, against the key of what it began as."""
    from verify.bench.audit import NAMED, audit
    from verify.bench.runner import jobs, read_plan
    from verify.bench.subjects.constructed import Constructed
    from verify.bench.tasksets import open_set
    from verify.train.runs import FROM_NOISE

    rows = []
    lines = {(job.subject, job.tasks): job.sizes.lines for job in jobs(read_plan())}
    models = []
    for theorem, tasks in ((1, "plus10"), (3, "plus10")):
        subject = Constructed(theorem)
        subject.prepare(open_set(tasks), lines[subject.name, tasks])
        models.append((subject.name, tasks, subject.model, NAMED))
    models += [(name, f"ret{one.K}", one.built(), SHARE) for name, one in FROM_NOISE.items()]
    for name, tasks, model, share in models:
        own = {m: r for (s, t, m), r in results.items() if (s, t) == (name, tasks)}
        for one in audit(model, own, open_set(tasks).pair, share):
            scores = [number(one.precision), number(one.recall), number(one.graded)]
            rows.append([name, one.method, one.question, one.named, one.key, *scores, one.note])
    header = ["subject", "method", "what it is asked to find", "named", "in the key", "precision"]
    return markdown([*header, "recall", "correlation", "why"], rows)


def filled(text: str, results: Results) -> str:
    """The page with its tables as the results have them. Raises ValueError for an unknown one."""

    def table(match: re.Match[str]) -> str:
        name = match[2]
        if name == "audit":
            body = audited(results)
        elif name in TABLES:
            body = TABLES[name](results)
        else:
            raise ValueError(
                f"docs/bench.md: table {name!r} is unknown; known: {', '.join(TABLES)}"
            )
        return f"{match[1]}{body}\n{match[3]}"

    return BLOCK.sub(table, text)


def write(folder: Path = RESULTS, docs: Path = DOCS) -> Iterator[Path]:
    """Fill the page's tables and draw its figures; the paths that were written."""
    results = load(folder)
    page = docs / "bench.md"
    page.write_text(filled(page.read_text(), results))
    yield page
    (docs / "bench").mkdir(exist_ok=True)
    for name in METHODS:
        path = draw(name, results, docs / "bench" / f"{name}.svg")
        if path is not None:
            yield path


def draw(name: str, results: Results, path: Path) -> Path | None:
    """One method's figure, a panel a subject; None where nothing is recorded."""
    from verify import plots

    method = METHODS[name]
    there = [(s, t, results[s, t, name]["values"]) for s, t in PANELS if (s, t, name) in results]
    if not there:
        return None
    if method is completed:
        with plots.figure(1, 2, width=4.2, height=3.2) as (drawing, axes):
            completed.summary(axes, results)
            drawing.savefig(path, metadata={"Date": None})
        return path
    columns = min(3, len(there))
    rows = -(-len(there) // columns)
    with plots.figure(rows, columns, width=3.6, height=2.9) as (drawing, axes):
        for axis in axes[len(there) :]:
            axis.axis("off")
        for axis, (subject, tasks, values) in zip(axes, there, strict=False):
            method.draw(axis, values)
            axis.set_title(f"{subject}\n{tasks}: {' / '.join(_pair(values))}", fontsize=8)
        drawing.savefig(path, metadata={"Date": None})
    return path


def _pair(values: dict[str, Any]) -> list[str]:
    names = values["tasks"]
    return names if len(names) <= 4 else [names[0], "...", names[-1]]
