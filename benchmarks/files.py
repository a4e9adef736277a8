"""How long does a prompt take that lies in files, and how much memory beside the page cache?

python -m benchmarks.files [--files-log-m 24] [--folder DIR]

2^24 examples of K = 16 tasks at d = 64 are 8.6 GB on disk; the files are deleted afterwards. They
hold 2^20 different examples, over and over: what an example holds costs no time. Memory is that of
a process of its own, without the pages of the files, which the system takes back when it likes.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks import measure
from benchmarks.scale import Case, Million
from construct import Spec, Task, build
from verify.cli import folder, whole
from verify.plots import PALETTE

DIFFERENT = 20  # log2 of the examples that differ
EVERY = 0.02  # seconds between two looks at the memory


def stream(log_m: int, options: argparse.Namespace, tell: measure.Tell) -> measure.Record:
    """Seconds and bytes of an answer out of files. Raises ValueError where it is wrong."""
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        tell("making the prompt")
        subject = Million(Case(16, min(log_m, DIFFERENT), 0.5))
        repeats = (1 << log_m) // subject.m
        tell("writing it")
        for name, part in (("inputs", subject.inputs), ("labels", subject.labels)):
            shape = (len(part) * repeats, *part.shape[1:])
            path = Path(place) / f"{name}.npy"
            file = np.lib.format.open_memmap(path, "w+", part.dtype, shape)
            for i in range(repeats):
                file[i * len(part) : (i + 1) * len(part)] = part
            file.flush()
            del file
        np.save(Path(place) / "rotations.npy", subject.rotations)
        right, first = subject.task, subject.inputs[0, 0].astype(float)
        rotations, file_bytes = subject.rotations, repeats * subject.bytes
        del subject
        tell("answering it")
        command = [sys.executable, "-m", "benchmarks.files", "--answer", place]
        found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        recognized = np.load(Path(place) / "recognized.npy", mmap_mode="r")
        if not (recognized.reshape(repeats, -1) == right).all():
            raise ValueError(f"2^{log_m} examples: some are not recognized as drawn")
        counts = np.bincount(right[right >= 0], minlength=16)
        target = np.einsum("k,kij,j->i", counts / counts.sum(), rotations, first)
        error = float(np.abs(np.array(found.pop("vector")) - target).max())
    return {"K": 16, "d": 64, "log_m": log_m, "file_bytes": file_bytes, "error": error} | found


def answer(place: Path) -> measure.Record:
    """The answer, seconds, and the most memory of this process beside the page cache."""
    tasks = [Task(slot=0, weight=rotation) for rotation in np.load(place / "rotations.npy")]
    blocks = [tuple(np.load(place / f"{name}.npy", mmap_mode="r") for name in ("inputs", "labels"))]
    radius = 1 + (64 + 2) * float(np.finfo(np.float32).eps)
    m = len(blocks[0][1])
    model = build(Spec.of(tasks, m=m, n=2, margin=0.5, radius=radius, input_radius=radius), tasks)
    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(EVERY):
            peak[0] = max(peak[0], anonymous())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    started = time.perf_counter()
    found = model.stream(blocks, np.array(blocks[0][0][0]))
    seconds = time.perf_counter() - started
    done.set()
    watcher.join()
    np.save(place / "recognized.npy", found.recognized)
    return {"seconds": seconds, "peak_bytes": peak[0], "vector": found.vector.tolist()}


def anonymous() -> int:
    """Bytes of this process' memory that are no pages of a file; Linux alone tells."""
    status = Path("/proc/self/status").read_text()
    return 1024 * sum(map(int, re.findall(r"^Rss(?:Anon|Shmem):\s*(\d+) kB", status, re.M)))


def table(records: list[measure.Record]) -> Table:
    """One row a prompt."""
    rows = Table(
        "m", "files", "seconds", "us an example", "memory beside the files", box=SIMPLE_HEAD
    )
    for one in records:
        rows.add_row(
            f"2^{one['log_m']}",
            f"{one['file_bytes'] / 1e9:.2f} GB",
            f"{one['seconds']:.2f}",
            f"{one['seconds'] / 2 ** one['log_m'] * 1e6:.2f}",
            f"{one['peak_bytes'] / 1e9:.2f} GB",
        )
    return rows


def draw(axes: Any, records: list[measure.Record]) -> None:
    """Bytes of the files, and of the memory beside them."""
    one = records[-1]
    axes.barh(
        ["files", "memory"], [one["file_bytes"] / 1e9, one["peak_bytes"] / 1e9], color=PALETTE[0]
    )
    axes.set(xlabel=f"GB at 2^{one['log_m']} examples")


def add_options(parser: argparse.ArgumentParser) -> None:
    """How long a prompt, and where its files are put for a while."""
    parser.add_argument(
        "--files-log-m", type=whole(1, 30), default=24, help="log2 of the examples in files (24)"
    )
    parser.add_argument(
        "--folder", type=folder, help="where to put them (default: the system's for such files)"
    )


QUESTION = measure.Question(
    name="files",
    text="How long does a prompt take that lies in files, and how much memory?",
    cases=lambda options: [options.files_log_m],
    measure=stream,
    table=table,
    draw=draw,
    add_options=add_options,
)

if __name__ == "__main__":
    if sys.argv[1:2] == ["--answer"]:
        print(json.dumps(answer(Path(sys.argv[2]))))
    else:
        measure.command([QUESTION], "python -m benchmarks.files")
