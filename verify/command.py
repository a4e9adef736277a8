"""What the theorems' commands share: their common options, and the run that verifies a theorem and
reports."""

import argparse
import sys
import time
from typing import TYPE_CHECKING

from verify import cli

if TYPE_CHECKING:
    from verify.theorem import Theorem


def parser(prog: str, number: int) -> cli.Parser:
    """The options that every theorem's command has."""
    parser = cli.Parser(
        prog,
        description=f"Build Theorem {number}'s transformer for random tasks, run it on random "
        "prompts, check every lemma.",
    )
    add = parser.add_argument
    add("--K", type=cli.whole(1), default=4, help="tasks, and heads per layer (4)")
    add("--d", type=cli.whole(1), default=16, help="dimension of the vectors (16)")
    add("--m", type=cli.whole(1), default=32, help="in-context examples (32)")
    add(
        "--n", type=cli.whole(2), default=3, help="tokens per example: n - 1 inputs and a label (3)"
    )
    add("--prompts", type=cli.whole(1), default=1, help="random prompts to check (1)")
    add("--seed", type=cli.whole(0), default=0, help="seed of the random tasks and prompts (0)")
    add(
        "--noise",
        type=cli.whole(0),
        default=0,
        help="examples of each prompt that no task explains (0)",
    )
    add(
        "--coldness",
        type=cli.positive,
        metavar="T",
        help="score gap of the heads (default: derived from the dtype)",
    )
    add(
        "--dtype",
        choices=("float32", "float64"),
        default="float32",
        help="floating-point format (float32)",
    )
    add(
        "--certify",
        action="store_true",
        help="certify the first prompt in ball arithmetic too (needs python-flint)",
    )
    cli.add_json(parser)
    return parser


def parse(parser: cli.Parser) -> argparse.Namespace:
    """The options as given. Raises MissingExtra where a certificate is asked for without
    python-flint."""
    options = parser.parse_args()
    if options.certify:
        from verify.balls import flint

        flint()
    return options


def run(options: argparse.Namespace, prog: str, theorem: "Theorem", **request: object) -> int:
    """Verify a theorem on random tasks and prompts, print or write the report; 0 if all holds, 1 if
    something does not.

    request: what else `draw_instance` is told.
    """
    import numpy as np

    from verify.draw import draw_instance, draw_prompt
    from verify.verification import verify

    started = time.perf_counter()
    rng = np.random.default_rng(options.seed)
    kind = {
        name: getattr(options, name)
        for name in ("noise", "ambiguous", "pure", "agree")
        if hasattr(options, name)
    }
    instance = draw_instance(
        rng,
        K=options.K,
        d=options.d,
        m=options.m,
        n=options.n,
        coldness=options.coldness,
        dtype=options.dtype,
        **request,
    )
    prompts = [draw_prompt(rng, instance, **kind) for _ in range(options.prompts)]
    report = verify(
        instance,
        prompts,
        seed=options.seed,
        noise=options.noise,
        ambiguous=kind.get("ambiguous", 0),
        started=started,
        theorem=theorem,
    )
    certificate = None
    if options.certify:
        from verify.enclosure import certify

        certificate = certify(
            report.model, instance.tasks, prompts[0], instance.feature_map, theorem
        )
    if options.json != "-":
        from rich.console import Console

        report.show(Console())
        if certificate is not None:
            certificate.show(Console())
    if options.json is not None:
        certified = {} if certificate is None else {"certificate": certificate.as_json()}
        cli.write_json(report.as_json() | certified, options.json)
    holds = report.holds and (certificate is None or certificate.holds)
    if not holds:
        print(
            f"{prog}: Theorem {theorem.number} does not hold here; the table names what fails",
            file=sys.stderr,
        )
    return cli.HOLDS if holds else cli.FAILS
