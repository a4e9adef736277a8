"""The command `python -m verify.bench`: the literature's methods on constructed and trained
transformers, and where it is there on a language model.

Results are kept, one file a method, set and subject, and found again; --fresh runs all anew.
"""

import sys

from verify import cli

PROG = "python -m verify.bench"


def parser() -> cli.Parser:
    """The options of the command."""
    parser = cli.Parser(
        PROG,
        description="Run the literature's methods on transformers whose mechanism is known, and "
        "on others.",
    )
    add = parser.add_argument
    add(
        "--subjects",
        nargs="*",
        default=[],
        metavar="SUBJECT",
        help="which of the plan's subjects (all but smollm2, which needs `make llm`)",
    )
    add("--sets", nargs="*", default=[], metavar="SET", help="which sets of tasks (all)")
    add("--methods", nargs="*", default=[], metavar="METHOD", help="which methods (all)")
    add(
        "--out",
        type=cli.folder,
        metavar="FOLDER",
        help="where results are kept (verify/bench/results)",
    )
    add("--fresh", action="store_true", help="run what is kept anew")
    add(
        "--report",
        action="store_true",
        help="write docs/bench.md and its figures from all that is kept",
    )
    cli.add_json(parser)
    return parser


def told(claims: int, wrong: int) -> str:
    """How many claims hold; subjects without an answer key make none."""
    return f"{claims - wrong} of {claims} claims hold" if claims else "makes no claims"


def main() -> int:
    """Run, print what does not hold; 0 if every claim holds, 1 if one does not."""
    from dataclasses import replace

    from verify.bench import runner
    from verify.bench.methods import ALL

    options = parser().parse_args()
    for method in options.methods:
        if method not in ALL:
            raise ValueError(f"--methods {method}: unknown; known are {', '.join(ALL)}")
    folder = options.out or runner.RESULTS
    todo = runner.jobs(runner.read_plan(), options.subjects, options.sets)
    if options.methods:
        todo = [
            replace(job, methods=tuple(m for m in job.methods if m in options.methods))
            for job in todo
        ]
    total = sum(len(job.methods) for job in todo)
    if not total:
        raise ValueError(
            "--subjects, --sets, --methods: the plan has nothing of all of these; leave one out"
        )
    results = []
    for job, method, result in cli.progress(
        runner.run(todo, folder, options.fresh), total, "bench"
    ):
        results.append(result)
        wrong = [claim for claim in result["claims"] if not claim["holds"]]
        print(
            f"{job.subject:24} {job.tasks:12} {method:14} {result['seconds']:7.1f} s  "
            + told(len(result["claims"]), len(wrong)),
            file=sys.stderr,
            flush=True,
        )
        for claim in wrong:
            print(
                f"    {claim['what']}: {claim['observed']}, not {claim['expected']} "
                f"up to {claim['bound']}",
                file=sys.stderr,
            )
    if options.report:
        from verify.bench.report import write

        for path in write(folder):
            print(f"wrote {path}", file=sys.stderr)
    holds = all(claim["holds"] for result in results for claim in result["claims"])
    if options.json is not None:
        cli.write_json({"holds": holds, "results": results}, options.json)
    return cli.HOLDS if holds else cli.FAILS


if __name__ == "__main__":
    cli.run(main, PROG)
