"""What does a generated answer cost beside one pass over its prompt?

python -m benchmarks.generation [--examples 512] [--samples 64] [--L 4]

The examples are run once and their keys and values kept; each word of each answer is one token
more."""

import argparse
import json

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import measure
from construct.theorem4 import build
from proofs.theorem4 import error_bound
from verify import cli
from verify.theorem4.definition import judge
from verify.theorem4.draw import draw_instance, draw_prompt
from verify.theorem4.law import distance

PROG = "python -m benchmarks.generation"


def parser() -> cli.Parser:
    """The options of the command."""
    parser = cli.Parser(
        PROG, description="Time generated answers against one pass over the prompt."
    )
    add = parser.add_argument
    add("--examples", type=cli.whole(1), default=512, help="examples of the prompt (512)")
    add("--samples", type=cli.whole(1), default=64, help="answers (64)")
    add("--L", type=cli.whole(1), default=4, help="words of an answer (4)")
    add("--K", type=cli.whole(1), default=4, help="tasks (4)")
    add("--d", type=cli.whole(1), default=16, help="words of the vocabulary (16)")
    add("--repeats", type=cli.whole(1), default=7, help="timed rounds (7)")
    cli.add_json(parser)
    return parser


def record(options: argparse.Namespace) -> measure.Record:
    """The medians of one pass and of all answers. Raises ValueError if an answer is wrong."""
    rng = np.random.default_rng(0)
    instance = draw_instance(
        rng, K=options.K, d=options.d, m=options.examples, n=options.L + 2, L=options.L
    )
    model = build(instance.spec, instance.tasks)
    prompt = draw_prompt(rng, instance)
    calls = {
        "one pass": lambda: model.next(prompt),
        "answers": lambda: model.generate(prompt, key=0, samples=options.samples),
    }
    spec = instance.spec
    start = judge(instance.tasks, prompt, spec.m)
    generation = model.generate(prompt, key=0, samples=options.samples)
    first = (generation.distributions[0, 0].astype(float), generation.posterior[0, 0].astype(float))
    error, bound = distance(first, start), error_bound(spec)
    if not error <= bound:
        raise ValueError(f"an answer is off by {error:.3g}, more than its bound {bound:.3g}")
    found = measure.interleave(calls, options.repeats, lambda _: None)
    one, all_ = found["one pass"], found["answers"]
    return {
        "examples": options.examples,
        "tokens": prompt.tokens,
        "samples": options.samples,
        "words": options.L,
        "one_pass_s": one.median,
        "answers_s": all_.median,
        "times_one_pass": all_.times(one),
        "max_error": error,
        "machine": measure.machine(),
    }


def main() -> int:
    """Measure and print."""
    options = parser().parse_args()
    found = record(options)
    if options.json != "-":
        table = Table(
            "examples", "tokens", "answers", "words", "one pass ms", "answers ms", "times"
        )
        table.add_row(
            str(found["examples"]),
            str(found["tokens"]),
            str(found["samples"]),
            str(found["words"]),
            f"{found['one_pass_s'] * 1e3:.1f}",
            f"{found['answers_s'] * 1e3:.1f}",
            f"{found['times_one_pass']:.2f}",
        )
        Console().print(table)
    if options.json is not None:
        cli.write_json(json.loads(json.dumps(found)), options.json)
    return cli.HOLDS


if __name__ == "__main__":
    cli.run(main, PROG)
