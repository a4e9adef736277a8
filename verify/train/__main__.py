"""The command `python -m verify.train`: train the small decoders of the bench, one task a prompt.

The paper's Figure 3 trains decoders so and then shows them mixed prompts. What is kept beside the
weights: sizes, seed and the curve.
"""

import sys
from pathlib import Path

from verify import cli

PROG = "python -m verify.train"


def parser() -> cli.Parser:
    """The options of the command."""
    from verify.train.runs import ALL, CHECKPOINTS

    parser = cli.Parser(PROG, description="Train the small decoders of the bench.")
    parser.add_argument(
        "run", nargs="*", metavar="RUN", help=f"which: {', '.join(ALL)} (all that are not there)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=CHECKPOINTS,
        metavar="FOLDER",
        help="where checkpoints are, RUN.safetensors; unfinished runs are kept there too, as "
        "RUN.npz, and taken up again (verify/train/checkpoints)",
    )
    cli.add_json(parser)
    return parser


def main() -> int:
    """Train every run; 0 if all have learned all of their tasks, 1 if one has not."""
    from verify.train.checkpoint import Checkpoint, load, save
    from verify.train.loop import train
    from verify.train.runs import ALL

    options = parser().parse_args()
    for name in options.run:
        if name not in ALL:
            raise ValueError(f"run {name!r} is unknown; known are {', '.join(ALL)}")
    options.out.mkdir(parents=True, exist_ok=True)
    there = [name for name in ALL if (options.out / f"{name}.safetensors").exists()]
    reports = []
    for name in options.run or [name for name in ALL if name not in there]:
        run, path = ALL[name], options.out / f"{name}.safetensors"
        resume = path.with_suffix(".npz")
        steps = train(run, resume)
        total = run.steps // 10
        for decoder, progress in cli.progress(steps, total, name):
            if progress.step % 200 == 0 or progress.finished(run):
                print(
                    f"{name}: step {progress.step}, loss {progress.loss:.3f}, "
                    f"{progress.in_play} tasks, {progress.seconds:.0f} s",
                    file=sys.stderr,
                    flush=True,
                )
            if progress.finished(run):
                save(path, Checkpoint(run, decoder, progress))
                resume.unlink(missing_ok=True)
        kept = load(path)
        reports.append(
            kept.run.as_json() | {"solved": kept.progress.solved, "curve": kept.progress.curve}
        )
    learned = all(one["solved"] is not None for one in reports)
    if options.json is not None:
        cli.write_json({"learned": learned, "runs": reports}, options.json)
    return cli.HOLDS if learned else cli.FAILS


if __name__ == "__main__":
    cli.run(main, PROG)
