"""How long does a user wait for the main command, beside a bare JAX program: with an empty cache of
compiled programs, and on the second run?

python -m benchmarks.start

The bare program imports JAX and Flax and runs one jitted softmax. All are processes of their own,
in turn; each round begins with an empty cache.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks import measure
from verify.plots import PALETTE

BARE = (
    "import jax, flax, jax.numpy as jnp\njax.jit(jax.nn.softmax)(jnp.ones(8)).block_until_ready()"
)
WAYS = ("bare", "first run", "second run")


def seconds(arguments: list[str], cache: str) -> float:
    """Wall clock of a Python process with this folder for the user's cache."""
    surroundings = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        env=surroundings | {"XDG_CACHE_HOME": cache},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - started


def waits(case: str, options: argparse.Namespace, tell: measure.Tell) -> measure.Record:
    """Seconds of each way, and how many times those of the bare program."""
    command = ["-m", f"verify.{case}", "--K", "4", "--d", "16"]
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for i in range(options.repeats):
        with tempfile.TemporaryDirectory() as cache:
            for way in WAYS:
                tell(f"{way}, {i + 1} of {options.repeats}")
                found[way].append(seconds(["-c", BARE] if way == "bare" else command, cache))
    timings = {way: measure.Timing(each[0], tuple(each)) for way, each in found.items()}
    return {
        "command": case,
        "ways": {
            way: timing.report() | {"times_bare": timing.times(timings["bare"])}
            for way, timing in timings.items()
        },
    }


def table(records: list[measure.Record]) -> Table:
    """One row a way."""
    rows = Table("command", "run", "median s", "times bare", box=SIMPLE_HEAD)
    for one in records:
        for way, found in one["ways"].items():
            name = "" if way == "bare" else f"python -m verify.{one['command']} --K 4 --d 16"
            rows.add_row(name, way, f"{found['median_s']:.2f}", f"{found['times_bare']:.2f}")
    return rows


def draw(axes: Any, records: list[measure.Record]) -> None:
    """A bar a way."""
    bars = [
        (f"{one['command']}, {way}", found) for one in records for way, found in one["ways"].items()
    ]
    axes.barh(
        [name for name, _ in bars], [found["median_s"] for _, found in bars], color=PALETTE[0]
    )
    axes.set(xlabel="seconds")


QUESTION = measure.Question(
    name="start",
    text="How long is the main command's first run, and its second, beside a bare JAX program?",
    cases=lambda options: ["theorem1"],
    measure=waits,
    table=table,
    draw=draw,
)

if __name__ == "__main__":
    measure.command([QUESTION], "python -m benchmarks.start")
