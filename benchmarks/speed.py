"""How long does a user wait: to build, for the first answer, which compiles, and for every answer
after it?

python -m benchmarks.speed
"""

import argparse
from typing import Any

import jax
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks import measure
from benchmarks.evaluators import EVALUATORS, SIZES, Unavailable, check, draw_setting
from construct import build
from verify.plots import PALETTE

CALLS = ("dense call", "restricted call")


def wait(case: str, options: argparse.Namespace, tell: measure.Tell) -> measure.Record:
    """Seconds to build, and of first and later calls on one prompt, by evaluator. Raises ValueError
    on a wrong answer."""
    jax.clear_caches()  # a first answer compiles, whatever ran before in this process
    setting = draw_setting(SIZES[case], 1)
    spec = setting.spec
    seconds, _ = measure.timed(lambda: jax.tree.leaves(build(spec, setting.instance.tasks)))
    record = {
        "size": case,
        "K": spec.K,
        "d": spec.d,
        "m": spec.m,
        "n": spec.n,
        "N": spec.tokens,
        "build_s": seconds,
        "calls": {},
    }
    for name in CALLS:
        try:
            way = EVALUATORS[name](setting)
        except Unavailable as reason:
            record["calls"][name] = {"skipped": str(reason)}
            continue
        first, result = measure.timed(way.call)
        error = check(name, setting, way.read(result))
        timing = measure.interleave({name: way.call}, options.repeats, tell, {name: first})[name]
        record["calls"][name] = timing.report() | {"max_error": error}
    return record


def table(records: list[measure.Record]) -> Table:
    """One row a size and evaluator."""
    rows = Table(
        "K, d, m, n",
        "tokens",
        "build ms",
        "evaluator",
        "first answer s",
        "later answers ms",
        box=SIMPLE_HEAD,
    )
    for one in records:
        size = f"{one['K']}, {one['d']}, {one['m']}, {one['n']}"
        for name, found in one["calls"].items():
            times = (
                [f"{found['first_s']:.2f}", f"{found['median_s'] * 1e3:.2f}"]
                if "median_s" in found
                else ["skipped", ""]
            )
            rows.add_row(size, str(one["N"]), f"{one['build_s'] * 1e3:.1f}", name, *times)
    return rows


def draw(axes: Any, records: list[measure.Record]) -> None:
    """Three bars a size and evaluator: build, first call, later calls."""
    bars = [(one, name) for one in records for name in CALLS if "median_s" in one["calls"][name]]
    places = np.arange(len(bars))
    kinds = {
        "build": [one["build_s"] for one, _ in bars],
        "first answer": [one["calls"][name]["first_s"] for one, name in bars],
        "later answers": [one["calls"][name]["median_s"] for one, name in bars],
    }
    for i, (kind, seconds) in enumerate(kinds.items()):
        axes.bar(places + 0.27 * (i - 1), seconds, 0.25, color=PALETTE[i], label=kind)
    axes.set_yscale("log")
    axes.set_xticks(places, [f"{one['size']}\n{name}" for one, name in bars])
    axes.set(ylabel="seconds")
    axes.legend(frameon=False)


QUESTION = measure.Question(
    name="speed",
    text="How long does a user wait: to build, for the first "
    "answer, and for every answer after it?",
    cases=lambda options: list(SIZES),
    measure=wait,
    table=table,
    draw=draw,
)

if __name__ == "__main__":
    measure.command([QUESTION], "python -m benchmarks.speed")
