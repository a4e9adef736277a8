"""The command `python -m verify.train`: train the small decoders of the bench, one task a prompt,
and Theorem 1's weights back from noise.

The paper's Figure 3 trains decoders so and then shows them mixed prompts. What is kept beside the
weights: sizes, seed and the curve.
"""

import sys
from pathlib import Path
from typing import Any

from verify import cli

PROG = "python -m verify.train"
REPORTED = ("solved", "curve", "judged")  # of where a run ended


def parser() -> cli.Parser:
    """The options of the command."""
    from verify.train.runs import ALL, CHECKPOINTS, FROM_NOISE

    parser = cli.Parser(
        PROG,
        description="Train the small decoders of the bench, and Theorem 1's weights back from "
        "noise.",
    )
    names = ", ".join((*ALL, *FROM_NOISE))
    parser.add_argument(
        "run", nargs="*", metavar="RUN", help=f"which: {names} (all that are not there)"
    )
    parser.add_argument(
        "--out",
        type=cli.folder,
        default=CHECKPOINTS,
        metavar="FOLDER",
        help="where checkpoints are, RUN.safetensors; unfinished runs are kept there too, as "
        "RUN.npz, and taken up again (verify/train/checkpoints)",
    )
    cli.add_json(parser)
    return parser


def main() -> int:
    """Train every run; 0 if all have learned all of their tasks, 1 if one has not."""
    from verify.train.runs import ALL, FROM_NOISE

    options, known = parser().parse_args(), {**ALL, **FROM_NOISE}
    for name in options.run:
        if name not in known:
            raise ValueError(f"run {name!r} is unknown; known are {', '.join(known)}")
    options.out.mkdir(parents=True, exist_ok=True)
    there = [name for name in known if (options.out / f"{name}.safetensors").exists()]
    reports = []
    for name in options.run or [name for name in known if name not in there]:
        train, kept = (_decoder if name in ALL else _from_noise)(known[name])
        path = options.out / f"{name}.safetensors"
        reports.append(known[name].as_json() | _finish(name, known[name], train, kept, path))
    learned = all(one["solved"] is not None for one in reports)
    if options.json is not None:
        cli.write_json({"learned": learned, "runs": reports}, options.json)
    return cli.HOLDS if learned else cli.FAILS


def _decoder(run: Any) -> tuple[Any, Any]:
    """How a decoder is trained, and how it is kept."""
    from verify.train.checkpoint import Checkpoint, save
    from verify.train.loop import train

    return train, lambda path, *found: save(path, Checkpoint(run, *found))


def _from_noise(run: Any) -> tuple[Any, Any]:
    """How weights are trained back from noise, and how they are kept."""
    from verify.train.noise import Kept, save, train

    return train, lambda path, *found: save(path, Kept(run, *found))


def _finish(name: str, run: Any, train: Any, keep: Any, path: Path) -> dict[str, Any]:
    """Train a run to its end, keep it, and report where it got."""
    resume, progress = path.with_suffix(".npz"), None
    for found, progress in cli.progress(train(run, resume), run.steps // 10, name):
        if progress.step % 200 == 0 or progress.finished(run):
            where = f"{name}: step {progress.step}, {progress.told()}, {progress.seconds:.0f} s"
            print(where, file=sys.stderr, flush=True)
        if progress.finished(run):
            keep(path, found, progress)
            resume.unlink(missing_ok=True)
    assert progress is not None
    return {key: value for key, value in vars(progress).items() if key in REPORTED}


if __name__ == "__main__":
    cli.run(main, PROG)
