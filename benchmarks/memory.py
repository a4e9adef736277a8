"""What do a second query, many queries and some more examples cost, once a long prompt is
remembered?

python -m benchmarks.memory [--log-m 20]

Many queries are held against one matrix product of their size, NumPy's or JAX's, whichever is
faster, in the same rounds; one query against the whole prompt streamed again. Peak memory of a
process is measured in benchmarks/scale.py.
"""

import argparse
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks import measure
from benchmarks.scale import Case, Million
from proofs import memory as proof
from proofs import theorem1
from verify.cli import whole
from verify.plots import PALETTE

QUERIES, EXAMPLES = 100_000, 1_000
WAYS = (
    "one query",
    "many queries",
    "more examples",
    "stream again",
    "product numpy",
    "product jax",
)


@jax.jit
def product(x: jax.Array, matrix: jax.Array) -> jax.Array:
    """All queries times one matrix, at the highest precision."""
    return jnp.matmul(x, matrix, precision=jax.lax.Precision.HIGHEST)


def costs(log_m: int, options: argparse.Namespace, tell: measure.Tell) -> measure.Record:
    """Seconds of each way. Raises ValueError where an answer is wrong."""
    tell("making the prompt")
    subject = Million(Case(16, log_m, 0.5))
    more = min(EXAMPLES, subject.m // 2)
    queries = np.resize(subject.inputs, (QUERIES, *subject.inputs.shape[1:]))
    tell("remembering it")
    seconds, memory = measure.timed(
        lambda: subject.model.remember([(subject.inputs, subject.labels)])
    )
    errors = check(subject, memory, queries)
    matrix = np.ascontiguousarray(subject.rotations[0].astype(np.float32))
    there = queries[:, 0]
    on_device = jnp.asarray(there), jnp.asarray(matrix)
    last = [(subject.inputs[-more:], subject.labels[-more:])]

    def extend() -> None:
        memory.extend(last)

    def make_room() -> float:
        """Forget what was added, which is not timed."""
        memory.forget(np.arange(len(memory) - more, len(memory)))
        return measure.timed(extend)[0]

    calls = {
        "one query": lambda: memory.ask(queries[0]).vector,
        "many queries": lambda: memory.ask(queries).vector,
        "stream again": lambda: subject.answer().vector,
        "product numpy": lambda: there @ matrix,
        "product jax": lambda: product(*on_device),
    }
    make_room()
    added = [make_room() for _ in range(options.repeats)]
    timings = measure.interleave(calls, options.repeats, tell)
    timings["more examples"] = measure.Timing(added[0], tuple(added))
    faster = min(timings["product numpy"].median, timings["product jax"].median)
    return {
        "K": 16,
        "log_m": log_m,
        "d": queries.shape[-1],
        "queries": QUERIES,
        "examples": more,
        "remember_first_s": seconds,
        "ways": {name: timings[name].report() for name in WAYS},
        "times_product": timings["many queries"].median / faster,
    } | errors


def check(subject: Million, memory: Any, queries: np.ndarray) -> measure.Record:
    """The errors of one answer and of many. Raises ValueError where one is beyond its bound."""
    one, many = memory.ask(queries[0]), memory.ask(queries)
    error = subject.check(one)
    counts = np.bincount(subject.task[subject.task >= 0], minlength=subject.K)
    matrix = np.einsum("k,kij->ij", counts / counts.sum(), subject.rotations)
    errors = {
        "error": error,
        "error_bound": proof.error_bound(theorem1, subject.spec),
        "map_error": float(np.abs(many.vector - queries[:, 0].astype(float) @ matrix.T).max()),
        "map_error_bound": proof.map_error_bound(theorem1, subject.spec),
    }
    for name in ("error", "map_error"):
        if not errors[name] <= errors[f"{name}_bound"]:
            raise ValueError(
                f"an {name} of {errors[name]:.3g} exceeds its bound {errors[f'{name}_bound']:.3g}"
            )
    return errors


def table(records: list[measure.Record]) -> Table:
    """One row a way."""
    rows = Table("m", "what", "median ms", "times the product", box=SIMPLE_HEAD)
    for one in records:
        for name, found in one["ways"].items():
            times = f"{one['times_product']:.2f}" if name == "many queries" else ""
            rows.add_row(f"2^{one['log_m']}", name, f"{found['median_s'] * 1e3:.3f}", times)
    return rows


def draw(axes: Any, records: list[measure.Record]) -> None:
    """A bar a way."""
    one = records[-1]
    axes.barh(
        list(one["ways"]), [way["median_s"] * 1e3 for way in one["ways"].values()], color=PALETTE[0]
    )
    axes.set_xscale("log")
    axes.set(xlabel=f"ms, after 2^{one['log_m']} examples")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The prompt that is remembered."""
    parser.add_argument("--log-m", type=whole(1, 30), default=20, help="log2 of its examples (20)")


QUESTION = measure.Question(
    name="memory",
    text="What do further queries and examples cost once a prompt is remembered?",
    cases=lambda options: [options.log_m],
    measure=costs,
    table=table,
    draw=draw,
    add_options=add_options,
)

if __name__ == "__main__":
    measure.command([QUESTION], "python -m benchmarks.memory")
