"""Runs the plan: every method on every set of every subject, each result a file that is kept.

A result is found again if the plan's numbers behind it are the same, so a run that was cut off goes
on where it was.
"""

import hashlib
import json
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from verify.bench.material import Material, Sizes
from verify.bench.methods import ALL as METHODS
from verify.bench.methods import USUAL
from verify.bench.subjects import open_subject
from verify.bench.tasksets import open_set

HERE = Path(__file__).parent
PLAN, RESULTS = HERE / "plan.json", HERE / "results"


@dataclass(frozen=True)
class Job:
    """One subject, one set, and the methods that are run on it."""

    subject: str
    tasks: str
    sizes: Sizes
    methods: tuple[str, ...]
    seed: int

    @property
    def key(self) -> str:
        """What the result depends on, short."""
        text = json.dumps([self.subject, self.tasks, asdict(self.sizes), self.seed], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def path(self, method: str, folder: Path) -> Path:
        """Where a method's result is kept."""
        return folder / self.subject / f"{self.tasks}.{method}.json"


def read_plan(path: Path | None = None) -> dict[str, Any]:
    """The plan (default: `PLAN`). Raises ValueError for a method that is unknown."""
    path = PLAN if path is None else path
    plan = json.loads(path.read_text())
    for group in plan["groups"].values():
        for sizes in group["sets"].values():
            for method in sizes.get("methods", ()):
                if method not in METHODS:
                    raise ValueError(f"{path.name}: method {method!r}; known: {', '.join(METHODS)}")
    return plan


def jobs(plan: dict[str, Any], subjects: Iterable[str] = (), sets: Iterable[str] = ()) -> list[Job]:
    """The plan's jobs: of the named subjects, or of all that are not optional; of the named sets,
    or of all."""
    wanted, found = set(subjects), []
    known = {name for group in plan["groups"].values() for name in group["subjects"]}
    if wanted - known:
        unknown = sorted(wanted - known)[0]
        raise ValueError(
            f"--subjects {unknown}: not in the plan; there are {', '.join(sorted(known))}"
        )
    there = {name for group in plan["groups"].values() for name in group["sets"]}
    if unknown := sorted(set(sets) - there):
        raise ValueError(
            f"--sets {unknown[0]}: not in the plan; there are {', '.join(sorted(there))}"
        )
    for group in plan["groups"].values():
        for subject in group["subjects"]:
            if subject not in wanted if wanted else group.get("optional", False):
                continue
            for tasks, given in group["sets"].items():
                if sets and tasks not in sets:
                    continue
                sizes = Sizes(**{k: v for k, v in given.items() if k != "methods"})
                methods = tuple(given.get("methods", USUAL))
                found.append(Job(subject, tasks, sizes, methods, plan["seed"]))
    return found


def run(
    todo: list[Job], folder: Path = RESULTS, fresh: bool = False
) -> Iterator[tuple[Job, str, dict]]:
    """Run jobs, and yield each method's result as it comes, kept ones at once."""
    subjects: dict[str, Any] = {}
    for job in todo:
        material = None
        for method in job.methods:
            path = job.path(method, folder)
            kept = None if fresh else _kept(path, job.key)
            if kept is None:
                if material is None:
                    if job.subject not in subjects:
                        subjects = {job.subject: open_subject(job.subject)}
                    material = Material(
                        subjects[job.subject], open_set(job.tasks), job.sizes, job.seed
                    )
                kept = _fresh(job, method, material, path)
            yield job, method, kept


def _kept(path: Path, key: str) -> dict | None:
    if not path.exists():
        return None
    found = json.loads(path.read_text())
    return found if found["key"] == key else None


def _fresh(job: Job, method: str, material: Material, path: Path) -> dict:
    started = time.perf_counter()
    finding = METHODS[method].find(material)
    result = {
        "key": job.key,
        "subject": job.subject,
        "kind": material.subject.kind,
        "set": job.tasks,
        "method": method,
        "seed": job.seed,
        "sizes": asdict(job.sizes),
        "seconds": round(time.perf_counter() - started, 2),
    }
    result = plain(result | finding.as_json())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, allow_nan=False) + "\n")
    return result


def plain(value: Any) -> Any:
    """A value as strict JSON holds it, numbers to six digits; what is not finite is null."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, float) or hasattr(value, "dtype"):
        number = value if isinstance(value, float) else value.item()
        if isinstance(number, float):
            return float(f"{number:.6g}") if math.isfinite(number) else None
        return number
    return value
