"""The command `python -m verify.theorem1`: draw random tasks and prompts, build, run, and check every lemma."""

import sys
import time

from verify import cli

PROG = "python -m verify.theorem1"


def parser() -> cli.Parser:
    """The options of the command."""
    parser = cli.Parser(
        PROG, description="Build Theorem 1's transformer for random tasks, run it on random prompts, check every lemma."
    )
    add = parser.add_argument
    add("--K", type=cli.whole(1), default=4, help="tasks, and heads per layer (4)")
    add("--d", type=cli.whole(1), default=16, help="dimension of the vectors (16)")
    add("--m", type=cli.whole(1), default=32, help="in-context examples (32)")
    add("--n", type=cli.whole(2), default=3, help="tokens per example: n - 1 inputs and a label (3)")
    add("--features", type=cli.whole(0), default=0, metavar="r", help="ReLU features that the tasks read; 0: the input itself (0)")
    add("--sum-slot", action="store_true", help="make the last input slot of each example hold the sum of the others")
    add("--prompts", type=cli.whole(1), default=1, help="random prompts to check (1)")
    add("--seed", type=cli.whole(0), default=0, help="seed of the random tasks and prompts (0)")
    add("--noise", type=cli.whole(0), default=0, help="examples of each prompt that no task explains (0)")
    add("--ambiguous", type=cli.whole(0), default=0, help="examples of each prompt that several tasks explain (0)")
    add("--coldness", type=cli.positive, metavar="T", help="score gap of the heads (default: derived from the dtype)")
    add("--dtype", choices=("float32", "float64"), default="float32", help="floating-point format (float32)")
    add("--certify", action="store_true", help="certify the first prompt in ball arithmetic too (needs python-flint)")
    cli.add_json(parser)
    return parser


def main() -> int:
    """Verify, print or write the report; 0 if all holds, 1 if something does not."""
    options = parser().parse_args()
    if options.certify:
        from verify.balls import flint

        flint()
    # JAX and the transformer are imported only once the request is known to make sense.
    import numpy as np

    from verify.theorem1.draw import draw_instance, draw_prompt
    from verify.theorem1.verification import verify

    started = time.perf_counter()
    rng = np.random.default_rng(options.seed)
    instance = draw_instance(
        rng,
        K=options.K,
        d=options.d,
        m=options.m,
        n=options.n,
        features=options.features,
        sum_slot=options.sum_slot,
        coldness=options.coldness,
        dtype=options.dtype,
    )
    prompts = [draw_prompt(rng, instance, noise=options.noise, ambiguous=options.ambiguous) for _ in range(options.prompts)]
    report = verify(instance, prompts, seed=options.seed, noise=options.noise, ambiguous=options.ambiguous, started=started)
    certificate = None
    if options.certify:
        from verify.theorem1.certificate import certify

        certificate = certify(report.model, instance.tasks, prompts[0], instance.feature_map)
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
        print(f"{PROG}: Theorem 1 does not hold here; the table names what fails", file=sys.stderr)
    return cli.HOLDS if holds else cli.FAILS


if __name__ == "__main__":
    cli.run(main, PROG)
