"""What share of the device's own peaks do the evaluators reach: of a matrix product's FLOP/s, and
of a copy's bytes/s?

python -m benchmarks.device

The peaks are measured in the same rounds. On a GPU the sizes are a GPU's: dense at (K, d, m, n) =
(16, 64, 2048, 4), restricted at 2^22 examples.
"""

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks import measure, scale
from benchmarks.evaluators import EVALUATORS, GPU_SIZE, SIZES, check, dense_flops, draw_setting
from verify.plots import PALETTE


class Work(NamedTuple):
    """One evaluator at one size: what is timed, the multiplications and additions and the bytes
    that it cannot do without.

    peak: the matrix product that it is held against.
    """

    call: Callable[[], object]
    flops: float
    bytes: float
    error: float
    peak: str = "gemm"


class Sizes(NamedTuple):
    """K, d, m, n of the dense passes, log2 of the restricted call's examples, a matrix's side, and
    the floats of a copy."""

    dense: tuple[int, int, int, int]
    log_m: int
    side: int
    floats: int


PLATFORMS = {
    "cpu": Sizes(SIZES["large"], 18, 2048, 1 << 26),
    "gpu": Sizes(GPU_SIZE, 22, 8192, 1 << 29),
}


def sizes() -> Sizes:
    """The sizes for where JAX runs."""
    return PLATFORMS.get(jax.default_backend(), PLATFORMS["gpu"])


def peaks(size: Sizes) -> dict[str, tuple[Callable[[], object], float]]:
    """The device's peaks: what is timed, and the operations of the products, or the bytes that a
    copy reads and writes."""
    square = measure.square(size.side)
    narrow, long = square.astype(jnp.bfloat16), jnp.zeros(size.floats, jnp.float32)
    copy = jax.jit(lambda x: x + 1)
    return {
        "gemm": (lambda: measure.product(square), 2 * size.side**3),
        "bf16 gemm": (lambda: measure.product(narrow), 2 * size.side**3),
        "copy": (lambda: copy(long), 2 * long.nbytes),
    }


def _pass(size: Sizes, name: str) -> Work:
    # A pass over all pairs of tokens cannot do without its products; how often its scores travel is
    # the compiler's affair.
    setting = draw_setting(size.dense, 1, one_hot=name == "bf16")
    way = EVALUATORS[name](setting)
    error = check(name, setting, way.read(way.call()))
    return Work(way.call, dense_flops(setting), 0, error, "bf16 gemm" if name == "bf16" else "gemm")


def _restricted(size: Sizes) -> Work:
    # Recognize's product, and every number of the prompt once.
    subject = scale.Million(scale.Case(16, size.log_m, 0.5))
    error = subject.check(subject.answer())
    return Work(
        lambda: subject.answer().vector, 2 * subject.m * 16 * scale.D**2, subject.bytes, error
    )


WORK: dict[str, Callable[[Sizes], Work]] = {
    "dense": lambda size: _pass(size, "dense"),
    "bf16": lambda size: _pass(size, "bf16"),
    "restricted": _restricted,
}


def reach(name: str, options: argparse.Namespace, tell: measure.Tell) -> measure.Record:
    """An evaluator's FLOP/s and bytes/s, and their shares of the peaks. Raises ValueError when its
    answer is wrong."""
    tell("making a prompt")
    size = sizes()
    work, limits = WORK[name](size), peaks(size)
    timings = measure.interleave(
        {name: work.call} | {peak: call for peak, (call, _) in limits.items()},
        options.repeats,
        tell,
    )
    rates = {peak: amount / timings[peak].median for peak, (_, amount) in limits.items()}
    seconds = timings[name].median
    return timings[name].report() | {
        "evaluator": name,
        "size": list(size.dense) if name != "restricted" else [16, scale.D, 1 << size.log_m, 2],
        "max_error": work.error,
        "flops": work.flops,
        "flop_per_s": work.flops / seconds,
        "share_of_product": work.flops / seconds / rates[work.peak],
        "bytes": work.bytes,
        "byte_per_s": work.bytes / seconds,
        "share_of_copy": work.bytes / seconds / rates["copy"],
        "peaks": rates,
    }


def table(records: list[measure.Record]) -> Table:
    """One row an evaluator; below, the peaks."""
    rows = Table(
        "evaluator",
        "K, d, m, n",
        "seconds",
        "Gflop/s",
        "of the product",
        "GB/s",
        "of a copy",
        box=SIMPLE_HEAD,
    )
    for one in records:
        moved = (
            [f"{one['byte_per_s'] / 1e9:.2f}", f"{one['share_of_copy']:.1%}"]
            if one["bytes"]
            else ["", ""]
        )
        rows.add_row(
            one["evaluator"],
            ", ".join(map(str, one["size"])),
            f"{one['median_s']:.4f}",
            f"{one['flop_per_s'] / 1e9:.0f}",
            f"{one['share_of_product']:.0%}",
            *moved,
        )
    gemm, narrow, copy = (
        np.median([one["peaks"][name] for one in records]) / 1e9
        for name in ("gemm", "bf16 gemm", "copy")
    )
    rows.caption = (
        f"peaks: product {gemm:.0f} Gflop/s in float32, {narrow:.0f} in bfloat16; copy "
        f"{copy:.1f} GB/s"
    )
    return rows


def draw(axes: Any, records: list[measure.Record]) -> None:
    """Shares of the product's FLOP/s."""
    axes.bar(
        [one["evaluator"] for one in records],
        [one["share_of_product"] for one in records],
        color=PALETTE[0],
    )
    axes.set(ylabel="share of a product's FLOP/s")


QUESTION = measure.Question(
    name="device",
    text="What share of the device's own peaks do the evaluators reach?",
    cases=lambda options: list(WORK),
    measure=reach,
    table=table,
    draw=draw,
)

if __name__ == "__main__":
    measure.command([QUESTION], "python -m benchmarks.device")
