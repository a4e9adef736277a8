"""How near does the restricted evaluator come to the one matrix product that Recognize needs, and
how does it grow with m?

python -m benchmarks.scale [--largest 20]

The product is 2 m K d^2 operations at this machine's rate, which a 2048^3 product shows in the same
rounds. Peak memory is that of a process of its own that makes the prompt and answers it.
"""

import argparse
import json
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks import measure
from construct import Answer, Spec, Task, Transformer, build
from construct.evaluate.screening import sketch_size
from proofs.theorem1 import error_bound
from verify.cli import whole
from verify.plots import MARKERS, PALETTE

D, SIDE = 64, 2048
LEAST = 12


class Case(NamedTuple):
    """K tasks on vectors of dimension d, 2^log_m examples of an input and a label (n = 2), the
    margin, and whether Recognize is screened."""

    K: int
    log_m: int
    margin: float
    d: int = D
    screen: bool = False

    @property
    def label(self) -> str:
        """Which one it is among those of its group."""
        return f"2^{self.log_m}{' screened' if self.screen else ''}"


# Where screening is compared.
MANY = (
    Case(64, 17, 0.25),
    Case(64, 17, 0.5),
    Case(256, 15, 0.25),
    Case(1024, 13, 0.25),
    Case(1024, 13, 0.25, d=256),
)


class Group(tuple):
    """Cases of one K, d and margin that are measured in the same rounds."""

    def __str__(self) -> str:
        return (
            f"K = {self[0].K}, d = {self[0].d}, margin {self[0].margin:g}: "
            f"{', '.join(case.label for case in self)}"
        )


class Million:
    """Random rotations of the unit sphere, and a prompt of 2^log_m examples in float32, of which a
    tenth are noise."""

    def __init__(self, case: Case) -> None:
        rng = np.random.default_rng(0)
        self.m, self.K, d = 1 << case.log_m, case.K, case.d
        self.rotations = np.linalg.qr(rng.normal(size=(case.K, d, d)))[0]
        tasks = [Task(slot=0, weight=rotation) for rotation in self.rotations]
        # The unit sphere in float32: a norm may round beyond 1.
        radius = 1 + (d + 2) * float(np.finfo(np.float32).eps)
        self.spec = Spec.of(
            tasks, m=self.m, n=2, margin=case.margin, radius=radius, input_radius=radius
        )
        self.model: Transformer = build(self.spec, tasks)
        self.inputs, self.labels = (
            np.empty((self.m, 1, d), np.float32),
            np.empty((self.m, d), np.float32),
        )
        self.task = np.where(rng.random(self.m) < 0.1, -1, rng.integers(case.K, size=self.m))
        for block in range(
            0, self.m, 1 << 14
        ):  # in place, so that making the prompt takes no more memory than answering it
            part = slice(block, min(block + (1 << 14), self.m))
            x, y = (_sphere(rng, self.task[part].size, d) for _ in range(2))
            for i in range(case.K):
                mine = self.task[part] == i
                y[mine] = x[mine] @ self.rotations[i].T
            self.inputs[part, 0], self.labels[part] = x, y

    @property
    def bytes(self) -> int:
        """What the prompt itself takes."""
        return self.inputs.nbytes + self.labels.nbytes

    def answer(self, screen: bool = False) -> Answer:
        """The restricted evaluator's answer."""
        return self.model.stream([(self.inputs, self.labels)], self.inputs[0], screen=screen)

    def check(self, answer: Answer) -> float:
        """The error of an answer. Raises ValueError where the answer is wrong: a wrong one is not
        worth timing."""
        if not (answer.recognized == self.task).all():
            raise ValueError(
                f"{int((answer.recognized != self.task).sum())} examples are not recognized as "
                "drawn"
            )
        counts = np.bincount(self.task[self.task >= 0], minlength=self.K)
        target = np.einsum(
            "k,kij,j->i", counts / counts.sum(), self.rotations, self.inputs[0, 0].astype(float)
        )
        error = float(np.abs(answer.vector - target).max())
        if not error <= error_bound(self.spec):
            raise ValueError(
                f"an error of {error:.3g} exceeds the bound {error_bound(self.spec):.3g}"
            )
        return error


def _sphere(rng: np.random.Generator, count: int, d: int) -> np.ndarray:
    vectors = rng.normal(size=(count, d))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def checked(subject: Million, case: Case) -> float:
    """The error of a case's answer. Raises ValueError that names the case where it is wrong."""
    try:
        return subject.check(subject.answer(case.screen))
    except ValueError as error:
        raise ValueError(f"{case}: {error}") from None


def restricted_times(
    group: Group, options: argparse.Namespace, tell: measure.Tell
) -> list[measure.Record]:
    """By case: seconds of an answer, and how many times those of the one product; the peak memory
    of the largest case.

    The cases of a group, and the product, run in the same rounds, so that what is said of two of
    them is not the machine's drift.
    """
    subjects: dict[Case, Million] = {}  # screened or not, it is the same model and prompt
    calls, errors = {}, {}
    for case in group:
        made = case._replace(screen=False)
        if made not in subjects:
            tell(f"making the prompt of {case.label}")
            subjects[made] = Million(made)
        subject = subjects[made]
        errors[case.label] = checked(subject, case)
        calls[case.label] = lambda subject=subject, case=case: subject.answer(case.screen).vector
    square = measure.square(SIDE)
    timings = measure.interleave(
        calls | {"gemm": lambda: measure.product(square)}, options.repeats, tell
    )
    records = []
    for case in group:
        subject = subjects[case._replace(screen=False)]
        share = 2 * SIDE**3 / (2 * subject.m * case.K * case.d**2)
        records.append(
            case._asdict()
            | timings[case.label].report()
            | {
                "n": 2,
                "sketch": sketch_size(case.K, case.d, case.margin, subject.spec.radius)
                if case.screen
                else 0,
                "gemm_flops_per_s": 2 * SIDE**3 / timings["gemm"].median,
                "times_gemm": share * timings[case.label].times(timings["gemm"]),
                "error": errors[case.label],
                "error_bound": error_bound(subject.spec),
                "prompt_bytes": subject.bytes,
            }
        )
    del subjects, calls
    for case, record in zip(group, records, strict=True):
        if case.log_m == options.largest and case.K == 16:
            tell("peak memory")
            record["peak_bytes"] = peak_memory(case)
    return records


def peak_memory(case: Case) -> int:
    """The peak resident memory of a process that makes the prompt and answers it, JAX and all."""
    command = [sys.executable, "-m", "benchmarks.scale", "--peak", json.dumps(case)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def resident_peak() -> int:
    """Bytes of this process's peak resident memory; getrusage would tell of the parent's too,
    before it became this program."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
            1 if sys.platform == "darwin" else 1024
        )
    (peak,) = re.findall(r"VmHWM:\s*(\d+) kB", status)
    return int(peak) * 1024


def cases(options: argparse.Namespace) -> list[Group]:
    """K = 16 over a range of m, then many tasks with and without screening."""
    growth = Group(
        Case(16, log_m, 0.5) for log_m in range(min(LEAST, options.largest), options.largest + 1, 2)
    )
    return [
        growth,
        *(Group((case, case._replace(screen=True))) for case in MANY),
    ]


def exponent(records: list[measure.Record]) -> float:
    """The fitted exponent of m in the time of K = 16."""
    growth = [(one["log_m"], np.log2(one["median_s"])) for one in records if one["K"] == 16]
    if len(growth) < 2:
        return float("nan")
    log_m, log_seconds = np.transpose(growth)
    return float(np.polyfit(log_m, log_seconds, 1)[0])


def table(records: list[measure.Record]) -> Table:
    """One row a case."""
    title = f"n = 2, float32; time grows as m^{exponent(records):.2f} at K = 16"
    rows = Table(
        "K",
        "d",
        "m",
        "margin",
        "screened by",
        "seconds",
        "us an example",
        "times the product",
        "peak / prompt",
        title=title,
        box=SIMPLE_HEAD,
    )
    for one in records:
        peak = f"{one['peak_bytes'] / one['prompt_bytes']:.2f}" if "peak_bytes" in one else ""
        rows.add_row(
            str(one["K"]),
            str(one["d"]),
            f"2^{one['log_m']}",
            f"{one['margin']:g}",
            f"{one['sketch']} of {one['d']}" if one["screen"] else "-",
            f"{one['median_s']:.4f}",
            f"{one['median_s'] / 2 ** one['log_m'] * 1e6:.2f}",
            f"{one['times_gemm']:.2f}",
            peak,
        )
    return rows


def draw(axes: Any, records: list[measure.Record]) -> None:
    """Time over m beside the product alone."""
    growth = [one for one in records if one["K"] == 16]
    m = [2 ** one["log_m"] for one in growth]
    axes.loglog(
        m,
        [one["median_s"] for one in growth],
        MARKERS[0] + "-",
        color=PALETTE[0],
        label="restricted, K = 16",
    )
    axes.loglog(
        m,
        [one["median_s"] / one["times_gemm"] for one in growth],
        ":",
        color=PALETTE[1],
        label="the product alone",
    )
    for i, screen in enumerate((False, True)):
        points = [
            one
            for one in records
            if one["K"] == 64 and one["screen"] is screen and one["margin"] == 0.25
        ]
        label = f"K = 64, {'screened' if screen else 'unscreened'}"
        axes.loglog(
            [2 ** one["log_m"] for one in points],
            [one["median_s"] for one in points],
            MARKERS[i + 1],
            color=PALETTE[i + 2],
            label=label,
        )
    axes.set(xlabel="examples m", ylabel="seconds")
    axes.legend(frameon=False)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The largest prompt."""
    parser.add_argument(
        "--largest", type=whole(1, 30), default=20, help="log2 of the most examples (20)"
    )


QUESTION = measure.Question(
    name="scale",
    text="How near is the restricted evaluator to Recognize's one matrix product, and how does it "
    "grow with m?",
    cases=cases,
    measure=restricted_times,
    table=table,
    draw=draw,
    add_options=add_options,
)

if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        subject = Million(Case(*json.loads(sys.argv[2])))
        subject.check(subject.answer())
        print(resident_peak())
    else:
        measure.command([QUESTION], "python -m benchmarks.scale")
