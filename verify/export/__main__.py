"""The command `python -m verify.export`: a theorem's transformer as a checkpoint of another tool.

python -m verify.export --theorem 4 --tasks verbs --to huggingface --out verbs-opt
python -m verify.export --theorem 1 --family ret --to transformerlens --out ret-lens
python -m verify.export --theorem 2 --random --to llama --out random-llama
python -m verify.export --back verbs-opt        does what came back still satisfy the lemmas?
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from verify import cli

if TYPE_CHECKING:
    from construct.export import Checkpoint
    from construct.export.checkpoint import Shape
    from verify.export.request import Request

PROG = "python -m verify.export"
TARGETS = ("transformerlens", "huggingface", "llama", "safetensors")
# Prompts that are kept beside a checkpoint, to verify it with when it comes back.
PROMPTS = 4


def parser() -> cli.Parser:
    """The options of the command."""
    from verify.families import WRITINGS
    from verify.families.tables import SHIPPED
    from verify.theorem import ALL

    parser = cli.Parser(
        PROG,
        description="Write a theorem's transformer as a checkpoint that TransformerLens or Hugging "
        "Face's transformers load, with a model card and the answer key of its heads; or hold one "
        "that came back against the theorem's lemmas.",
    )
    add = parser.add_argument
    add("--theorem", type=int, choices=tuple(ALL), default=1, help="whose transformer (1)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--family", choices=tuple(WRITINGS), help="a task family")
    which.add_argument(
        "--tasks",
        metavar="TABLE",
        help=f"a table of tasks: {', '.join(SHIPPED)}, or a .csv, .tsv or .json file",
    )
    which.add_argument(
        "--random", action="store_true", help="random tasks, on vectors (Theorem 4: on words)"
    )
    which.add_argument(
        "--back", metavar="FOLDER", help="verify the checkpoint in a folder that was exported"
    )
    add(
        "--state-dict",
        metavar="FILE",
        help="with --back: the weights to verify, a safetensors file (the folder's own)",
    )
    add(
        "--inputs",
        action="append",
        metavar="COLUMN",
        help="a column of the table that holds inputs",
    )
    add(
        "--rows",
        type=cli.whole(1),
        default=12,
        help="how many rows of a table or country to take, the first ones (12): the checkpoint is "
        "dense, and its size grows as the square of the words",
    )
    add(
        "--split",
        action="store_true",
        help="Theorem 4: split the answers of a table at blanks into several words",
    )
    add("--m", type=cli.whole(1), default=8, help="in-context examples (8)")
    add("--K", type=cli.whole(1), default=4, help="random tasks (4)")
    add("--d", type=cli.whole(1), default=16, help="dimension, or words, of random tasks (16)")
    add("--n", type=cli.whole(2), help="tokens of an example of random tasks (the theorem's)")
    add("--seed", type=cli.whole(0), default=0, help="seed of random tasks and prompts (0)")
    add(
        "--dtype",
        default="float32",
        help="of random tasks: float32 or float64 (float32)",
    )
    add("--to", choices=TARGETS, help="the tool that is to load it")
    add("--out", metavar="FOLDER", help="the folder to write, made if it is not there")
    cli.add_json(parser)
    return parser


def request_of(options: argparse.Namespace) -> "Request":
    """What is asked for. Raises ValueError for a table, a family or a theorem that does not do."""
    from verify.export.request import narrowed, of_family, of_random
    from verify.families import WRITINGS, open_family, tables
    from verify.theorem import ALL

    theorem = ALL[options.theorem]
    if options.random:
        return of_random(
            theorem,
            np.random.default_rng(options.seed),
            K=options.K,
            d=options.d,
            m=options.m,
            n=theorem.n if options.n is None else options.n,
            dtype=options.dtype,
        )
    if options.tasks:
        loaded = tables.load(options.tasks, options.inputs)
        writing = tables.writing(loaded)
        family = writing.open(0)
    elif options.family:
        writing = WRITINGS[options.family]
        family = open_family(options.family)
    else:
        raise ValueError("pass --tasks TABLE, --family NAME or --random")
    family, draw = narrowed(family, options.rows, writing.draw)
    return of_family(theorem, family, draw, m=options.m, split=options.split)


def maker(request: "Request", model: Any, target: str) -> "tuple[Shape | None, Callable]":
    """The sizes of a checkpoint (None for the project's own file) and how it is made. Raises
    ValueError where the target cannot hold the request."""
    from construct import export
    from construct.export import Sentences, to_huggingface, to_llama, to_transformerlens

    text = request.text
    if target == "safetensors":
        return None, lambda: export.plain(model)
    if target == "llama":
        if request.theorem.number == 4:
            raise ValueError("--to llama: is for Theorems 1 to 3; use --to huggingface")
        return to_llama.shape_of(model)[1], lambda: export.llama(model)
    if target == "huggingface":
        if not isinstance(text, Sentences):
            why = "has none: its tasks are on vectors"
            if text is not None:
                why = "needs in fixed places, and a text has them anywhere"
            raise ValueError(
                f"--to huggingface: reads words, which Theorem {request.theorem.number} {why}; use "
                "--theorem 4, or --to llama, which takes vectors"
            )
        return to_huggingface.shape_of(model)[1], lambda: export.huggingface(model, text)
    return to_transformerlens.shape_of(model, text), lambda: export.transformerlens(model, text)


def write(options: argparse.Namespace) -> int:
    """Export; 0 when it is written."""
    from construct.export.checkpoint import check_dtype, check_size, megabytes

    for name in ("to", "out"):
        if getattr(options, name) is None:
            raise ValueError(f"--{name}: is needed to export")
    started = time.perf_counter()
    request = request_of(options)
    model = request.build()
    check_dtype(options.dtype if options.random else request.spec.dtype, model)
    shape, make = maker(request, model, options.to)
    quiet = options.json == "-"
    if shape is not None:
        size = shape.numbers * np.dtype(request.spec.dtype).itemsize
        if not quiet:
            print(
                f"{options.to}: {shape.layers} blocks of width {shape.width}, {shape.heads} heads "
                f"of {shape.head_dim}, {shape.neurons} neurons: {megabytes(size)}"
            )
        way_out = "take fewer words (--rows), fewer examples (--m), or a smaller --d or --K"
        check_size(shape, request.spec.dtype, way_out)
    folder = Path(options.out)
    checkpoint = written(request, make, folder, options.seed)
    seconds = time.perf_counter() - started
    report = {
        "folder": str(folder),
        "target": options.to,
        "theorem": request.theorem.number,
        "tasks": list(request.task_names),
        "words": None if request.text is None else request.spec.d,
        "bytes": checkpoint.bytes,
        "error_bound": request.theorem.proof.error_bound(request.spec),
        "files": sorted(path.name for path in folder.iterdir()),
        "seconds": round(seconds, 3),
    }
    if not quiet:
        print(
            f"wrote {folder}: {', '.join(report['files'])} ({seconds:.1f} s); the answer is off by "
            f"at most {report['error_bound']:.2g}"
        )
    if options.json is not None:
        cli.write_json(report, options.json)
    return cli.HOLDS


def written(
    request: "Request", make: "Callable[[], Checkpoint]", folder: Path, seed: int
) -> "Checkpoint":
    """Make a checkpoint and write it, its card, and prompts to verify it with."""
    from construct.export import Sentences
    from verify.export.card import card
    from verify.export.returned import keep

    steps = cli.progress(("weights", "files", "prompts", "card"), 4, "exporting")
    assert next(steps) == "weights"
    checkpoint = make()
    next(steps)
    checkpoint.save(folder)
    next(steps)
    rng = np.random.default_rng(seed)
    prompts = [request.draw(rng) for _ in range(PROMPTS)]
    keep(request, folder, prompts, [checkpoint.embeds(prompt) for prompt in prompts])
    next(steps)
    text = request.text
    shown = [text.text(prompt) for prompt in prompts] if isinstance(text, Sentences) else []
    (folder / "README.md").write_text(card(request, checkpoint, shown), encoding="utf-8")
    for _ in steps:  # close the bar
        pass
    return checkpoint


def come_back(options: argparse.Namespace) -> int:
    """Verify a checkpoint that came back; 0 if every lemma holds, 1 if something does not."""
    from rich.console import Console

    from construct.export.back import read_tensors
    from verify.export.returned import check_returned

    state = None if options.state_dict is None else read_tensors(Path(options.state_dict))
    verdict = check_returned(options.back, state)
    if options.json != "-":
        verdict.report.show(Console())
        for stray in verdict.strays:
            print(f"not the theorem's: {stray}")
        still = [name for name, holds in verdict.lemmas.items() if holds]
        print(f"lemmas that still hold: {', '.join(still) or 'none'}")
    if options.json is not None:
        found = {"holds": verdict.holds, "lemmas": verdict.lemmas, "strays": list(verdict.strays)}
        cli.write_json(found | {"report": verdict.report.as_json()}, options.json)
    if not verdict.holds:
        print(f"{PROG}: this is not the theorem's transformer any more", file=sys.stderr)
    return cli.HOLDS if verdict.holds else cli.FAILS


def main() -> int:
    """Export, or verify what came back."""
    options = parser().parse_args()
    if options.state_dict is not None and options.back is None:
        raise ValueError("--state-dict: goes with --back FOLDER")
    return write(options) if options.back is None else come_back(options)


if __name__ == "__main__":
    cli.run(main, PROG)
