"""The command `python -m verify.figure2`: the paper's experiment with task families, on the
constructed transformer.

Random prompts that mix all tasks of a family, evenly and unevenly: does every single prompt's
answer follow its own mixture?
"""

import sys
from typing import TYPE_CHECKING, Any

from verify import cli, extras

if TYPE_CHECKING:
    from rich.console import Console

    from verify.mixtures import Outcome

PROG = "python -m verify.figure2"
FAMILIES = ("AB", "add_translate", "country", "word")
Results = list[tuple[str, str, list[int], "Outcome"]]  # family, mixture, examples by task, outcome


def parser() -> cli.Parser:
    """The options of the command."""
    from verify.families import WRITINGS

    parser = cli.Parser(
        PROG,
        description="Mix the tasks of each family in random prompts and compare answers with "
        "mixtures.",
    )
    add = parser.add_argument
    add(
        "--prompts",
        type=cli.whole(1),
        default=100,
        help="random prompts for each family and mixture (100)",
    )
    add(
        "--examples",
        type=cli.whole(1),
        default=20,
        help="examples a task, where they are even (20)",
    )
    add(
        "--family",
        choices=tuple(WRITINGS),
        action="append",
        help="a family; may be repeated (the four of the figure)",
    )
    add("--seed", type=cli.whole(0), default=0, help="seed of the random prompts (0)")
    add(
        "--out",
        type=cli.stem,
        default="figure2",
        metavar="STEM",
        help="write the plot to STEM.png and STEM.svg (figure2)",
    )
    cli.add_json(parser)
    return parser


def experiment(families: list[str], prompts: int, examples: int, seed: int) -> "Results":
    """Every family with an even mixture and with one of shares 1 : 2 : ... : K."""
    import numpy as np

    from verify.mixtures import BATCH, Experiment, apportion, merge

    results: Results = []
    for name in families:
        rng = np.random.default_rng(seed)
        trial = Experiment(name, examples_a_task=examples)
        K, m = len(trial.family.tasks), trial.model.spec.m
        for mixture, weights in (("even", [1] * K), ("uneven", list(range(1, K + 1)))):
            counts = apportion(m, weights)
            batches = trial.outcomes(rng, [counts] * prompts)
            parts = list(cli.progress(batches, -(-prompts // BATCH), f"{name}, {mixture}"))
            results.append((name, mixture, counts, merge(parts)))
    return results


def as_json(results: "Results", seed: int) -> dict[str, Any]:
    """The report as plain values."""
    return {
        "holds": all(outcome.holds for *_, outcome in results),
        "seed": seed,
        "results": [
            {"family": name, "mixture": mixture, "examples": counts} | outcome.as_json()
            for name, mixture, counts, outcome in results
        ],
    }


def show(results: "Results", console: "Console") -> None:
    """Print a row for every task: the percentiles of its probability and how it varies around the
    prompts' mixtures."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    for name, mixture, _, outcome in results:
        title = (
            f"{name}, {mixture} mixture, {len(outcome.probability)} prompts, "
            f"{outcome.abstained} ambiguous examples"
        )
        table = Table(
            "task",
            "mixture",
            "0%",
            "25%",
            "50%",
            "75%",
            "100%",
            "var / p(1-p)",
            title=title,
            box=SIMPLE_HEAD,
        )
        for column in table.columns[1:]:
            column.justify = "right"
        for i, task in enumerate(outcome.names):
            numbers = [outcome.mixture[:, i].mean(), *outcome.percentiles[:, i]]
            table.add_row(
                task, *(f"{number:.4f}" for number in numbers), f"{outcome.variance_ratio[i]:.1e}"
            )
        console.print(table)
        console.print(
            f"  other {outcome.other.max():.1e}, KL(D||P) {outcome.kl:.1e}, variance "
            f"{outcome.variance.max():.1e}, error"
            f" {outcome.error:.1e}, bound {outcome.error_bound:.1e}: "
            f"{'holds' if outcome.holds else 'DOES NOT HOLD'}",
            style=None if outcome.holds else "bold red",
        )


def plot(results: "Results", stem: str) -> list[Any]:
    """One panel for each family and mixture: percentiles of each task's probability, and the mean
    mixture."""
    from verify import plots

    with plots.figure(-(-len(results) // 2), min(2, len(results))) as (drawing, axes):
        for axis in axes[len(results) :]:
            axis.axis("off")
        for axis, (name, mixture, _, outcome) in zip(axes, results, strict=False):
            for i in range(len(outcome.names)):
                low, quarter, middle, three, high = outcome.percentiles[:, i]
                color = plots.PALETTE[i % len(plots.PALETTE)]
                axis.bar(i, middle, width=0.6, color=color, alpha=0.35)
                axis.vlines(i, low, high, color=color, linewidth=1)
                axis.vlines(i, quarter, three, color=color, linewidth=5)
                axis.plot(i, middle, plots.MARKERS[i % len(plots.MARKERS)], color=color)
                axis.plot(
                    [i - 0.4, i + 0.4],
                    [outcome.mixture[:, i].mean()] * 2,
                    "--",
                    color="#444444",
                    linewidth=1,
                )
            axis.plot(
                [len(outcome.names)], [outcome.other.max()], "x", color="#444444", clip_on=False
            )
            axis.set_xticks(
                range(len(outcome.names) + 1),
                [*outcome.names, "other"],
                rotation=30 * (len(outcome.names) > 5),
            )
            axis.set_title(f"{name}, {mixture}: var/p(1-p) {outcome.variance_ratio.max():.0e}")
            axis.set_ylabel("probability")
            axis.set_ylim(0, 1)
        drawing.supxlabel(
            "over prompts: dots and pale bars: median; thick lines: 25 to 75 %; thin: 0 to 100 % "
            "(hidden by the dot where shorter)\n"
            "dashed: the prompts' own mixture; cross: most on no task's answer",
            fontsize=8,
        )
        return plots.save(drawing, stem)


def main() -> int:
    """Run the experiment, print and plot it; 0 if every target is met, 1 if not."""
    options = parser().parse_args()
    extras.need(*extras.TABLES, *extras.PLOTS, *extras.FAMILIES)
    results = experiment(
        list(dict.fromkeys(options.family or FAMILIES)),
        options.prompts,
        options.examples,
        options.seed,
    )
    paths = plot(results, options.out)
    report = as_json(results, options.seed)
    if options.json != "-":
        from rich.console import Console

        console = Console()
        show(results, console)
        console.print(f"wrote {', '.join(map(str, paths))}")
    if options.json is not None:
        cli.write_json(report, options.json)
    if not report["holds"]:
        print(
            f"{PROG}: an answer does not follow its prompt's mixture; the table names where",
            file=sys.stderr,
        )
    return cli.HOLDS if report["holds"] else cli.FAILS


if __name__ == "__main__":
    cli.run(main, PROG)
