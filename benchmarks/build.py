"""How does the time to build the weights grow with K, d and m?

python -m benchmarks.build
"""

import argparse
from typing import Any

import jax
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks import measure
from construct import build
from construct.gains import Infeasible
from verify.draw import draw_instance
from verify.plots import MARKERS, PALETTE

# One parameter of (K, d, m) at a time; n = 2.
SWEEPS = {
    "K": ((4, 32, 64), (16, 32, 64), (64, 32, 64), (256, 32, 64)),
    "d": ((16, 16, 64), (16, 64, 64), (16, 256, 64)),
    "m": ((8, 32, 16), (8, 32, 256), (8, 32, 4096), (8, 32, 65536)),
}


def build_time(case: tuple, options: argparse.Namespace, tell: measure.Tell) -> measure.Record:
    """Seconds to build a transformer of this size, and the bytes of its weights."""
    varied, (K, d, m) = case
    size = {"varied": varied, "K": K, "d": d, "m": m, "n": 2}
    try:
        instance = draw_instance(np.random.default_rng(0), K=K, d=d, m=m, n=2)
        model = build(instance.spec, instance.tasks)
    except Infeasible as error:
        return size | {"skipped": str(error)}
    weights = sum(leaf.nbytes for leaf in jax.tree.leaves(model))
    timing = measure.interleave(
        {"build": lambda: jax.tree.leaves(build(instance.spec, instance.tasks))},
        options.repeats,
        tell,
        {"build": 0.0},
    )["build"]
    report = timing.report()
    del report["first_s"]  # nothing is compiled
    return size | report | {"weight_bytes": weights}


def table(records: list[measure.Record]) -> Table:
    """One row a size."""
    rows = Table("varied", "K, d, m", "median ms", "weights", box=SIMPLE_HEAD)
    for one in records:
        size = f"{one['K']}, {one['d']}, {one['m']}"
        if "skipped" in one:
            rows.add_row(one["varied"], size, "skipped", one["skipped"])
        else:
            rows.add_row(
                one["varied"],
                size,
                f"{one['median_s'] * 1e3:.1f}",
                f"{one['weight_bytes'] / 1e6:.1f} MB",
            )
    return rows


def draw(axes: Any, records: list[measure.Record]) -> None:
    """Time over each parameter, the others fixed."""
    for varied, color, marker in zip(SWEEPS, PALETTE, MARKERS, strict=False):
        points = [
            (one[varied], one["median_s"])
            for one in records
            if one["varied"] == varied and "median_s" in one
        ]
        if points:
            axes.loglog(*zip(*points, strict=True), marker + "-", color=color, label=varied)
    axes.set(xlabel="the parameter that is varied", ylabel="seconds")
    axes.legend(frameon=False)


QUESTION = measure.Question(
    name="build",
    text="How does the time to build the weights grow with K, d and m?",
    cases=lambda options: [(varied, size) for varied, sizes in SWEEPS.items() for size in sizes],
    measure=build_time,
    table=table,
    draw=draw,
)

if __name__ == "__main__":
    measure.command([QUESTION], "python -m benchmarks.build")
