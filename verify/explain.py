"""The command `python -m verify.explain`: write the explorer, one self-contained page that steps
through a theorem's layers."""

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from verify import cli, extras
from verify.explorer.data import MOST_PROMPTS, Subject, collect
from verify.theorem import ALL, Theorem

if TYPE_CHECKING:
    from verify.families.text import TextPrompt

PROG = "python -m verify.explain"

# What random tasks and prompts are drawn by, where nothing else is asked for.
DRAWN = {"K": 4, "d": 16, "m": 12, "n": None, "seed": 0}


def parser() -> cli.Parser:
    """The options of the command."""
    parser = cli.Parser(
        PROG,
        description="Write one HTML page that shows each layer of the transformer at work, without "
        "a network.",
    )
    add = parser.add_argument
    add(
        "--theorem",
        type=int,
        choices=tuple(ALL),
        default=1,
        help=f"whose transformer: that of Theorem {', '.join(map(str, ALL))} (1)",
    )
    add("--K", type=cli.whole(1), help="random tasks (4)")
    add("--d", type=cli.whole(1), help="dimension of their vectors (16)")
    add("--m", type=cli.whole(1), help="examples of a prompt (12, as a screen holds them)")
    add("--n", type=cli.whole(2), help="tokens per example (as the theorem has it)")
    add("--seed", type=cli.whole(0), help="seed of the random tasks and prompts (0)")
    add(
        "--prompt",
        metavar="FILE",
        nargs="+",
        help="show typed prompts instead: up to 5 files of one family",
    )
    add(
        "--family",
        help="the family of the typed prompts (default: picked by how the lines are written)",
    )
    add(
        "--out",
        type=cli.output,
        metavar="PATH",
        help="the page (theorem1.html, or as the theorem's number is)",
    )
    cli.add_json(parser)
    return parser


def random_subject(K: int, d: int, m: int, n: int | None, seed: int, theorem: Theorem) -> Subject:
    """Random tasks that the theorem can perform, and mixtures of them in front of one query. n
    None: as the theorem has it. Raises Impossible (a ValueError)."""
    rng = np.random.default_rng(seed)
    n = theorem.n if n is None else n
    instance = theorem.draw_instance(rng, K=K, d=d, m=m, n=n, **theorem.drawn)
    kinds = list(_kinds(K, m, theorem.ambiguity).items())
    # What only this theorem shows takes the place of what comes second.
    kinds[1 : 1 + len(theorem.shown)] = [(title, dict(one)) for title, one in theorem.shown.items()]
    kinds = dict(kinds)
    prompts = [theorem.draw_prompt(rng, instance, **kind) for kind in kinds.values()]
    # Words that are said already are about the query of their own prompt.
    titles = [*theorem.shown, *kinds]
    query = prompts[list(kinds).index(titles[0])].query
    return Subject(
        spec=instance.spec,
        tasks=instance.tasks,
        feature_map=instance.feature_map,
        names=[f"task {i}" for i in range(K)],
        titles=list(kinds),
        prompts=[replace(prompt, query=query) for prompt in prompts],
        words=[f"word {i}" for i in range(d)] if not theorem.labeled else (),
    )


def _kinds(K: int, m: int, ambiguity: bool) -> dict[str, dict[str, Any]]:
    """By title, the kinds of prompts: pure and mixed ones, as many as K tasks and m
    examples have."""
    kinds: dict[str, dict[str, Any]] = {}
    if K > 1:
        kinds["drawn from all tasks alike"] = {"shares": np.ones(K) / K}
    if K > 2:
        kinds["drawn from tasks 0 and 1"] = {"shares": (np.arange(K) < 2) / 2}
    kinds[f"only task {K - 1}"] = {"shares": np.eye(K)[-1]}
    if odd := min(2, m // 4):
        both = ambiguity and K > 1
        kinds["with noise and ambiguous examples" if both else "with noise"] = {
            "noise": odd,
            "ambiguous": odd if both else 0,
        }
    return kinds | {"nothing but noise": {"noise": m}}


def typed_subject(files: list[str], family: str | None) -> Subject:
    """Typed prompts of one family. Raises ValueError for an unreadable prompt, more than five, or
    two families."""
    from verify.families.text import read

    if len(files) > MOST_PROMPTS:
        raise ValueError(f"--prompt: {len(files)} files; the page holds at most {MOST_PROMPTS}")
    texts = [read(cli.read_file(file), family) for file in files]
    # The family of the longest words holds the shorter ones too.
    widest = max((text.family for text in texts), key=lambda one: one.slots)
    if len({text.family.name for text in texts}) > 1:
        raise ValueError(
            "--prompt: the files are of the families "
            f"{', '.join(sorted({t.family.name for t in texts}))}; pass one"
        )

    widest = widest.narrowed([(text.examples, text.query) for text in texts])

    def names(text: "TextPrompt") -> list[str]:
        rows = [(f"{j} ", words, label) for j, (words, label) in enumerate(text.examples)] + [
            ("query ", text.query, "?")
        ]
        return ["BOS"] + [
            f"{place}{word or '_'}"
            for place, words, label in rows
            for word in (*widest.layout(words), label)
        ]

    return Subject(
        spec=widest.spec(max(len(text.examples) for text in texts)),
        tasks=widest.tasks,
        feature_map=widest.feature_map,
        names=widest.names,
        titles=[Path(file).name for file in files],
        prompts=[widest.prompt(text.examples, text.query) for text in texts],
        words=widest.vocabulary,
        tokens=[names(text) for text in texts],
        origin=f"the family {widest.name}",
    )


def main() -> int:
    """Write the page; 0 if the theorem holds on every prompt of it, 1 if not."""
    options = parser().parse_args()
    extras.need("bokeh")
    if options.family and not options.prompt:
        raise ValueError("--family: names the family of typed prompts; pass them with --prompt")
    if options.json is not None and options.json == options.out:
        raise ValueError(
            f"--json {options.json}: is --out too; pass another path for one of the two"
        )
    drawn = {name: getattr(options, name) for name in DRAWN if getattr(options, name) is not None}
    if drawn and options.prompt:
        asked = ", ".join(f"--{name}" for name in drawn)
        raise ValueError(
            f"{asked}: for random prompts, and --prompt shows typed ones; leave out one of the two"
        )
    from verify.explorer.page import page

    started = time.perf_counter()
    theorem = ALL[options.theorem]
    if options.prompt:
        subject = typed_subject(options.prompt, options.family)
    else:
        subject = random_subject(**DRAWN | drawn, theorem=theorem)
    report = collect(theorem, subject)
    text = page(report)
    out = options.out or f"theorem{theorem.number}.html"
    try:
        Path(out).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ValueError(
            f"--out {out}: {error.strerror}; pass a path in a folder that exists and can be written"
        ) from None
    if options.json != "-":
        seconds = time.perf_counter() - started
        print(
            f"wrote {out}: {len(text.encode()) / 2**20:.2f} MiB, {len(report['prompts'])} prompts "
            f"({seconds:.1f} s)"
        )
    if options.json is not None:
        cli.write_json(report, options.json)
    if not report["holds"]:
        print(
            f"{PROG}: Theorem {theorem.number} does not hold "
            "on a prompt; the page names what fails",
            file=sys.stderr,
        )
    return cli.HOLDS if report["holds"] else cli.FAILS


if __name__ == "__main__":
    cli.run(main, PROG)
