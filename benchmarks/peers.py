"""How fast is it beside other libraries' attention with the same weights, and beside the machine's
own matrix product?

python -m benchmarks.peers [--sizes small,medium,large] [--batches 1,32] [--evaluators dense,haiku]

Haiku's stack is the transformer that Tracr compiles to. All ways run in one process, interleaved;
each is first held against the definition.
"""

import argparse
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks import measure
from benchmarks.evaluators import (
    EVALUATORS,
    SIZES,
    Setting,
    Unavailable,
    check,
    dense_flops,
    draw_setting,
    stack_flops,
)
from benchmarks.stacks import STACKS, piece
from verify.plots import MARKERS, PALETTE

BATCHES = (1, 32)
PEERS = [
    name for name in EVALUATORS if name != "bf16"
]  # which knows one-hot vocabularies only: see benchmarks/bf16.py
GEMM = (
    2048  # the roofline: a float32 product of matrices of this side, through JAX and through NumPy
)


def gemms() -> dict[str, Callable[[], object]]:
    """The machine's matrix product."""
    square = measure.square(GEMM)
    here = np.array(square)
    return {"gemm jax": lambda: measure.product(square), "gemm numpy": lambda: here @ here}


def compare(case: tuple, options: argparse.Namespace, tell: measure.Tell) -> measure.Record:
    """Time every evaluator on one batch. Raises ValueError when one gives a wrong answer."""
    size, batch = case
    tell("drawing prompts")
    setting = draw_setting(SIZES[size], batch)
    return compared(setting, options.evaluators, options.repeats, tell) | {"size": size}


def compared(
    setting: Setting, names: list[str], repeats: int, tell: measure.Tell
) -> measure.Record:
    """The record of one batch: the sizes, the tolerance, and what was found by evaluator (a reason
    where it was skipped)."""
    spec, found, calls, first = setting.spec, {}, {}, {}
    for name in names:
        try:
            tell(f"{name}, first")
            way = EVALUATORS[name](setting)
            first[name], result = measure.timed(way.call)
        except Unavailable as reason:
            found[name] = {"skipped": str(reason)}
            continue
        found[name] = {"max_error": check(name, setting, way.read(result))}
        calls[name] = way.call
    products = gemms()
    timings = measure.interleave(calls | products, repeats, tell, first)
    flops = (
        {"dense": dense_flops(setting)}
        | dict.fromkeys(STACKS, stack_flops(setting))
        | dict.fromkeys(products, 2 * GEMM**3)
    )
    for name, timing in timings.items():
        found.setdefault(name, {}).update(timing.report())
        if name in flops:
            found[name]["gflop_per_s"] = flops[name] / timing.median / 1e9
        if "dense" in calls:
            found[name]["times_dense"] = timing.times(timings["dense"])
    B, N, D = setting.embedded[0].shape
    return {
        "K": spec.K,
        "d": spec.d,
        "m": spec.m,
        "n": spec.n,
        "D": D,
        "N": N,
        "batch": B,
        "stack_batch": piece((B, N, D), spec.K, setting.embedded[0].dtype.itemsize),
        "tolerance": setting.tolerance,
        "evaluators": found,
    }


def table(records: list[measure.Record]) -> Table:
    """One row an evaluator and batch; below, why some were skipped."""
    rows = Table(
        "D, K, N, batch",
        "evaluator",
        "median ms",
        "/ dense",
        "first s",
        "Gflop/s",
        "error",
        box=SIMPLE_HEAD,
    )
    for column in rows.columns:
        column.no_wrap = True
    skipped: dict[str, str] = {}
    for one in records:
        size = f"{one['D']}, {one['K']}, {one['N']}, {one['batch']}"
        for name, found in one["evaluators"].items():
            if "skipped" in found:
                skipped[name] = found["skipped"]
                continue
            cells = {
                "times_dense": ".3g",
                "first_s": ".2f",
                "gflop_per_s": ".0f",
                "max_error": ".1e",
            }
            shown = [f"{found[key]:{how}}" if key in found else "" for key, how in cells.items()]
            rows.add_row(size, name, f"{found['median_s'] * 1e3:.2f}", *shown)
            size = ""
    rows.caption = "\n".join(f"{name} skipped: {reason}" for name, reason in skipped.items())
    return rows


def draw(axes: Any, records: list[measure.Record]) -> None:
    """Milliseconds a prompt over N; full lines are single prompts, dashed lines the largest
    batch."""
    batches = sorted({one["batch"] for one in records})
    names = [
        name
        for name in EVALUATORS
        if any("median_s" in one["evaluators"].get(name, {}) for one in records)
    ]
    for i, name in enumerate(names):
        for batch in {batches[0], batches[-1]}:
            chosen = [
                one
                for one in records
                if one["batch"] == batch and "median_s" in one["evaluators"].get(name, {})
            ]
            points = [
                (one["N"], one["evaluators"][name]["median_s"] * 1e3 / batch) for one in chosen
            ]
            if points:
                axes.loglog(
                    *zip(*points, strict=True),
                    MARKERS[i % len(MARKERS)] + ("-" if batch == batches[0] else "--"),
                    color=PALETTE[i % len(PALETTE)],
                    label=name if batch == batches[0] else None,
                )
    dashed = f" (dashed: a batch of {batches[-1]})" if len(batches) > 1 else ""
    axes.set(xlabel=f"tokens N{dashed}", ylabel="ms a prompt")
    axes.legend(frameon=False, fontsize=7)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which sizes, batches and evaluators."""
    parser.add_argument(
        "--sizes", type=_names(SIZES), default=list(SIZES), help=f"of {','.join(SIZES)} (all)"
    )
    parser.add_argument(
        "--batches", type=_batches, default=list(BATCHES), help="prompts in a batch (1,32)"
    )
    parser.add_argument(
        "--evaluators",
        type=_names(EVALUATORS),
        default=PEERS,
        help=f"of {','.join(EVALUATORS)} (all)",
    )


def _names(known: dict) -> Callable[[str], list[str]]:
    def convert(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",")]
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} must be one of {', '.join(known)}")
        return list(dict.fromkeys(names))

    return convert


def _batches(text: str) -> list[int]:
    sizes = [float(part) if part.strip().isdigit() else math.nan for part in text.split(",")]
    if not all(1 <= size <= 1 << 20 for size in sizes):
        raise argparse.ArgumentTypeError(
            f"{text!r} must be whole numbers from 1 to 2^20, separated by commas"
        )
    return list(dict.fromkeys(int(size) for size in sizes))


QUESTION = measure.Question(
    name="peers",
    text="How fast is it beside other libraries' attention with the same weights, and beside a "
    "matrix product?",
    cases=lambda options: [(size, batch) for size in options.sizes for batch in options.batches],
    measure=compare,
    table=table,
    draw=draw,
    add_options=add_options,
)

if __name__ == "__main__":
    measure.command([QUESTION], "python -m benchmarks.peers")
