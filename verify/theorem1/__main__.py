"""The command `python -m verify.theorem1`: draw random tasks and prompts, build, run, and check
every lemma."""

from verify import cli, command

PROG = "python -m verify.theorem1"


def parser() -> cli.Parser:
    """The options of the command."""
    parser = command.parser(PROG, 1)
    add = parser.add_argument
    add(
        "--features",
        type=cli.whole(0),
        default=0,
        metavar="r",
        help="ReLU features that the tasks read; 0: the input itself (0)",
    )
    add(
        "--sum-slot",
        action="store_true",
        help="make the last input slot of each example hold the sum of the others",
    )
    add(
        "--ambiguous",
        type=cli.whole(0),
        default=0,
        help="examples of each prompt that several tasks explain (0)",
    )
    return parser


def main() -> int:
    """Verify, print or write the report; 0 if all holds, 1 if something does not."""
    options = command.parse(parser())
    # JAX and the transformer are imported only once the request is known to make sense.
    from verify.check import THEOREM1

    return command.run(
        options, PROG, THEOREM1, features=options.features, sum_slot=options.sum_slot
    )


if __name__ == "__main__":
    cli.run(main, PROG)
