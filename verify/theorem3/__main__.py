"""The command `python -m verify.theorem3`: draw random norm-preserving tasks and prompts, build,
run, and check every lemma."""

from verify import cli, command

PROG = "python -m verify.theorem3"


def parser() -> cli.Parser:
    """The options of the command."""
    parser = command.parser(PROG, 3)
    add = parser.add_argument
    add(
        "--ambiguous",
        type=cli.whole(0),
        default=0,
        help="examples of each prompt that several tasks explain (0)",
    )
    add("--pure", action="store_true", help="show one task a prompt instead of a mixture")
    add(
        "--agree",
        action="store_true",
        help="ask a query on which all tasks agree, where rounding is amplified most",
    )
    return parser


def main() -> int:
    """Verify, print or write the report; 0 if all holds, 1 if something does not."""
    options = command.parse(parser())
    # JAX and the transformer are imported only once the request is known to make sense.
    from verify.theorem3 import THEOREM3

    return command.run(options, PROG, THEOREM3, sphere=True)


if __name__ == "__main__":
    cli.run(main, PROG)
