"""The command `python -m verify.theorem2`: draw random tasks and prompts, build, run, and check
every lemma."""

from verify import cli, command

PROG = "python -m verify.theorem2"


def parser() -> cli.Parser:
    """The options of the command."""
    parser = command.parser(PROG, 2)
    parser.add_argument(
        "--features",
        type=cli.whole(0),
        default=0,
        metavar="r",
        help="ReLU features that the tasks read; 0: the input itself (0)",
    )
    return parser


def main() -> int:
    """Verify, print or write the report; 0 if all holds, 1 if something does not."""
    options = command.parse(parser())
    # JAX and the transformer are imported only once the request is known to make sense.
    from verify.theorem2 import THEOREM2

    return command.run(options, PROG, THEOREM2, features=options.features)


if __name__ == "__main__":
    cli.run(main, PROG)
