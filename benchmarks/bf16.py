"""What do products of bfloat16 numbers save over a one-hot vocabulary, where they give the dense
answer to the last bit?

python -m benchmarks.bf16
"""

import argparse
from typing import Any

import jax
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks import measure
from benchmarks.evaluators import EVALUATORS, GPU_SIZE, SIZES, check, dense_flops, draw_setting
from construct import checks
from verify.plots import MARKERS, PALETTE

NAMES = ("dense", "bf16")


def sizes() -> list[tuple[int, int, int, int]]:
    """The sizes of the peers' benchmark, and on a GPU larger ones."""
    return [*SIZES.values(), *([GPU_SIZE] if jax.default_backend() == "gpu" else ())]


def save(
    case: tuple[int, int, int, int], options: argparse.Namespace, tell: measure.Tell
) -> measure.Record:
    """Time both passes over one prompt. Raises ValueError when a bit of their answers differs, or
    one is wrong."""
    tell("drawing a prompt")
    setting = draw_setting(case, 1, one_hot=True)
    ways = {name: EVALUATORS[name](setting) for name in NAMES}
    first, answers = {}, {}
    for name, way in ways.items():
        tell(f"{name}, first")
        first[name], result = measure.timed(way.call)
        answers[name] = way.read(result)
    error = check("dense", setting, answers["dense"])
    same(*answers.values())
    timings = measure.interleave(
        {name: way.call for name, way in ways.items()}, options.repeats, tell, first
    )
    flops = dense_flops(setting)
    _, N, D = setting.embedded[0].shape
    return dict(zip(("K", "d", "m", "n"), case, strict=True)) | {
        "N": N,
        "D": D,
        "max_error": error,
        "times_dense": timings["bf16"].times(timings["dense"]),
        "passes": {
            name: one.report() | {"gflop_per_s": flops / one.median / 1e9}
            for name, one in timings.items()
        },
    }


def same(dense: np.ndarray, narrow: np.ndarray) -> None:
    """Refuse answers that differ in a bit."""
    if not np.array_equal(dense, narrow):
        raise checks.refuse(
            "evaluator 'bf16'",
            f"another answer than dense, by up to {np.abs(dense - narrow).max():.3g}",
            "must have the same bits over a one-hot vocabulary",
            "a product or a sum of it is not exact on this device: do not use it there",
        )


def table(records: list[measure.Record]) -> Table:
    """One row a size."""
    rows = Table(
        "D, K, N",
        *(f"{name} ms" for name in NAMES),
        "bf16 / dense",
        "Gflop/s",
        "error",
        box=SIMPLE_HEAD,
    )
    for one in records:
        times = [f"{one['passes'][name]['median_s'] * 1e3:.2f}" for name in NAMES]
        rates = ", ".join(f"{one['passes'][name]['gflop_per_s']:.0f}" for name in NAMES)
        size = f"{one['D']}, {one['K']}, {one['N']}"
        rows.add_row(size, *times, f"{one['times_dense']:.2f}", rates, f"{one['max_error']:.1e}")
    return rows


def draw(axes: Any, records: list[measure.Record]) -> None:
    """Milliseconds over N."""
    for name, color, marker in zip(NAMES, PALETTE, MARKERS, strict=False):
        points = [(one["N"], one["passes"][name]["median_s"] * 1e3) for one in records]
        axes.loglog(*zip(*points, strict=True), marker + "-", color=color, label=name)
    axes.set(xlabel="tokens N", ylabel="ms a prompt")
    axes.legend(frameon=False)


QUESTION = measure.Question(
    name="bf16",
    text="What do products of bfloat16 numbers save over a one-hot vocabulary?",
    cases=lambda options: sizes(),
    measure=save,
    table=table,
    draw=draw,
)

if __name__ == "__main__":
    measure.command([QUESTION], "python -m benchmarks.bf16")
