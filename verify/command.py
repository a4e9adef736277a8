"""The command of a theorem, `python -m verify.theoremN`: options as the theorem's record has them,
then random tasks and prompts, a run, every lemma checked, a report."""

import argparse
import sys
import time
from typing import Any, NamedTuple, NoReturn

import numpy as np

from verify import cli, extras
from verify.enclosure import certify
from verify.record import Theorem
from verify.verification import verify


class Option(NamedTuple):
    """An option that not every theorem has. of_prompt: it is asked of every prompt, and not of the
    tasks; settings: as argparse takes them."""

    of_prompt: bool
    settings: dict[str, Any]

    @staticmethod
    def flag(name: str) -> str:
        """What is typed for an option."""
        return f"--{name.replace('_', '-')}"


OPTIONS = {
    "features": Option(
        False,
        {
            "type": cli.whole(0),
            "default": 0,
            "metavar": "r",
            "help": "ReLU features that the tasks read; 0: the input itself (0)",
        },
    ),
    "sum_slot": Option(
        False,
        {
            "action": "store_true",
            "help": "make the last input slot of each example hold the sum of the others",
        },
    ),
    "ambiguous": Option(
        True,
        {
            "type": cli.whole(0),
            "default": 0,
            "help": "examples of each prompt that several tasks explain (0)",
        },
    ),
    "pure": Option(
        True, {"action": "store_true", "help": "show one task a prompt instead of a mixture"}
    ),
    "agree": Option(
        True,
        {
            "action": "store_true",
            "help": "ask a query on which all tasks agree, where rounding is amplified most",
        },
    ),
}


def prog(theorem: Theorem) -> str:
    """What the command of a theorem is called."""
    return f"python -m verify.theorem{theorem.number}"


def run(theorem: Theorem) -> NoReturn:
    """Run the command and exit: 0 if all holds, 1 if something does not, 2 for a bad request."""
    cli.run(lambda: main(theorem), prog(theorem))


def parser(theorem: Theorem) -> cli.Parser:
    """The options of a theorem's command: those of every theorem, and those that its record
    names."""
    parser = cli.Parser(
        prog(theorem),
        description=f"Build Theorem {theorem.number}'s transformer for random tasks, run it on "
        "random prompts, check every lemma.",
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
    for name in theorem.options:
        add(Option.flag(name), **OPTIONS[name].settings)
    return parser


def main(theorem: Theorem) -> int:
    """Verify a theorem on random tasks and prompts, print or write the report; 0 if all holds, 1 if
    something does not.

    Raises ValueError for a request that cannot be met, MissingExtra where a certificate is asked
    for without python-flint.
    """
    options = parser(theorem).parse_args()
    # Better known before the work than after it.
    extras.need(*extras.TABLES)
    if options.certify:
        extras.need("flint", what="--certify")
    return _verify(theorem, options)


def _verify(theorem: Theorem, options: argparse.Namespace) -> int:
    started = time.perf_counter()
    rng = np.random.default_rng(options.seed)
    asked = {of_prompt: _asked(theorem, options, of_prompt) for of_prompt in (False, True)}
    instance = theorem.draw_instance(
        rng,
        K=options.K,
        d=options.d,
        m=options.m,
        n=options.n,
        coldness=options.coldness,
        dtype=options.dtype,
        **asked[False],
        **theorem.drawn,
    )
    prompts = [
        theorem.draw_prompt(rng, instance, noise=options.noise, **asked[True])
        for _ in range(options.prompts)
    ]
    report = verify(
        theorem,
        instance,
        prompts,
        seed=options.seed,
        noise=options.noise,
        ambiguous=asked[True].get("ambiguous", 0),
        started=started,
    )
    certificate = None
    if options.certify:
        certificate = certify(
            theorem, report.model, instance.tasks, prompts[0], instance.feature_map
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
            f"{prog(theorem)}: Theorem {theorem.number} does not hold here; the table names what "
            "fails",
            file=sys.stderr,
        )
    return cli.HOLDS if holds else cli.FAILS


def _asked(theorem: Theorem, options: argparse.Namespace, of_prompt: bool) -> dict[str, Any]:
    """What the theorem's own options ask of each prompt, or of the tasks."""
    return {
        name: getattr(options, name)
        for name in theorem.options
        if OPTIONS[name].of_prompt == of_prompt
    }
