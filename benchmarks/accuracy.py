"""How large is the error of the answer at the theorem's sizes, against its bound?

python -m benchmarks.accuracy
"""

import argparse
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks import measure
from construct import build
from proofs.theorem1 import error_bound
from verify.check import answer_error
from verify.draw import draw_instance, draw_prompt
from verify.oracle import judge
from verify.plots import MARKERS, PALETTE

SIZES = (
    (1, 1, 1, 2),
    (4, 16, 32, 3),
    (8, 16, 40, 9),
    (16, 64, 128, 4),
    (64, 16, 256, 2),
    (512, 16, 64, 2),
    (4, 512, 16, 2),
)
DTYPES = ("float32", "float64")
PROMPTS = 10


def worst_error(case: tuple, options: argparse.Namespace, tell: measure.Tell) -> measure.Record:
    """The worst error of some random prompts beside the bound."""
    (K, d, m, n), dtype = case
    rng = np.random.default_rng(0)
    instance = draw_instance(rng, K=K, d=d, m=m, n=n, dtype=dtype)
    spec = instance.spec
    prompts = [draw_prompt(rng, instance) for _ in range(PROMPTS)]
    answers = build(spec, instance.tasks)(prompts)
    verdicts = [judge(instance.tasks, prompt, spec.tolerance, spec.margin) for prompt in prompts]
    worst = max(
        answer_error(answer.vector, verdict.vector)
        for answer, verdict in zip(answers, verdicts, strict=True)
    )
    size = {
        "K": K,
        "d": d,
        "m": m,
        "n": n,
        "dtype": dtype,
        "radius": spec.radius,
        "prompts": PROMPTS,
    }
    return size | {"max_error": float(worst), "error_bound": error_bound(spec)}


def table(records: list[measure.Record]) -> Table:
    """One row a size and dtype."""
    rows = Table("K, d, m, n", "dtype", "radius", "worst error", "bound", box=SIMPLE_HEAD)
    for one in records:
        size = f"{one['K']}, {one['d']}, {one['m']}, {one['n']}"
        rows.add_row(
            size,
            one["dtype"],
            f"{one['radius']:.2f}",
            f"{one['max_error']:.1e}",
            f"{one['error_bound']:.1e}",
        )
    return rows


def draw(axes: Any, records: list[measure.Record]) -> None:
    """Errors over bounds: every point must lie on or below the diagonal."""
    for dtype, color, marker in zip(DTYPES, PALETTE, MARKERS, strict=False):
        mine = [one for one in records if one["dtype"] == dtype]
        # A logarithmic axis has no 0: an exact answer is drawn at the bottom.
        points = [(one["error_bound"], max(one["max_error"], 1e-18)) for one in mine]
        axes.loglog(*zip(*points, strict=True), marker, color=color, label=dtype)
    ends = [min(one["error_bound"] for one in records), max(one["error_bound"] for one in records)]
    axes.plot(ends, ends, color="0.6", label="the bound")
    axes.set(xlabel="bound", ylabel="worst error")
    axes.legend(frameon=False)


QUESTION = measure.Question(
    name="accuracy",
    text="How large is the error of the answer at the theorem's sizes, against its bound?",
    cases=lambda options: [(size, dtype) for size in SIZES for dtype in DTYPES],
    measure=worst_error,
    table=table,
    draw=draw,
)

if __name__ == "__main__":
    measure.command([QUESTION], "python -m benchmarks.accuracy")
