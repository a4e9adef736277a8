"""What do hooks cost beside a plain call, and loading beside building?

python -m benchmarks.api
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks import measure
from construct import Prompt, Transformer, build
from verify.draw import draw_instance, draw_prompt
from verify.plots import PALETTE

# K, d, m, n.
SIZES = {"small": (4, 16, 32, 3), "medium": (8, 55, 128, 4)}
# Prompts of a batch: ragged, of m' from half of m to all of it.
BATCH = 32


def ragged(size: tuple[int, int, int, int]) -> tuple[Transformer, Any, list[Prompt]]:
    """A random model, its instance, and a batch of prompts of different lengths."""
    K, d, m, n = size
    rng = np.random.default_rng(0)
    instance = draw_instance(rng, K=K, d=d, m=m, n=n)
    lengths = rng.integers(m // 2, m + 1, size=BATCH)
    prompts = [draw_prompt(rng, instance, examples=int(length)) for length in lengths]
    return build(instance.spec, instance.tasks), instance, prompts


def cost(name: str, options: argparse.Namespace, tell: measure.Tell) -> measure.Record:
    """Seconds of a batch without hooks, with one that looks and one that writes, of a trace of one
    prompt, and of building, saving and loading the model."""
    model, instance, prompts = ragged(SIZES[name])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        model.save(path)
        calls = {
            "dense": lambda: [one.vector for one in model(prompts, evaluator="dense")],
            "look": lambda: model(prompts, hooks={("commit", "z"): lambda z: None}),
            "write": lambda: model(prompts, hooks={("commit", "z"): lambda z: np.asarray(z)}),
            "head": lambda: model(prompts, hooks={"execute.attn.result": lambda r: r}),
            "trace": lambda: model.trace(prompts[-1]),
            "build": lambda: jax.tree.leaves(build(instance.spec, instance.tasks)),
            "save": lambda: model.save(path),
            "load": lambda: jax.tree.leaves(Transformer.load(path)),
        }
        timings = measure.interleave(calls, options.repeats, tell)
        size = path.stat().st_size
    return {
        "size": name,
        "batch": BATCH,
        "file_bytes": size,
        "times_dense": {
            one: timings[one].times(timings["dense"]) for one in ("look", "write", "head")
        },
        "calls": {one: timing.report() for one, timing in timings.items()},
    }


def table(records: list[measure.Record]) -> Table:
    """One row a call; how many times the plain batch the hooked ones take."""
    rows = Table("size", "call", "median ms", "times dense", box=SIMPLE_HEAD)
    for one in records:
        for name, report in one["calls"].items():
            times = one["times_dense"].get(name)
            rows.add_row(
                one["size"],
                name,
                f"{report['median_s'] * 1e3:.2f}",
                "" if times is None else f"{times:.2f}",
            )
    return rows


def draw(axes: Any, records: list[measure.Record]) -> None:
    """The median of every call, by size."""
    for one, color in zip(records, PALETTE, strict=False):
        medians = [report["median_s"] for report in one["calls"].values()]
        axes.semilogy(list(one["calls"]), medians, "o", color=color, label=one["size"])
    axes.set(ylabel="seconds")
    axes.legend(frameon=False)


QUESTION = measure.Question(
    name="api",
    text="What do hooks cost beside a plain call, and loading beside building?",
    cases=lambda options: list(SIZES),
    measure=cost,
    table=table,
    draw=draw,
)

if __name__ == "__main__":
    measure.command([QUESTION], "python -m benchmarks.api")
