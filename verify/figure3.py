"""The command `python -m verify.figure3`: the probability of a task's answer against its share of
the examples, per prompt.

Pairs of ret and of plus tasks, in transformers that hold all eight or all ten. A calibrated model
has every prompt on the diagonal; a model whose average alone is calibrated has its prompts at 0 and
1.
"""

import sys
from typing import TYPE_CHECKING, Any

from verify import cli, extras

if TYPE_CHECKING:
    from rich.console import Console

    from verify.mixtures import Outcome

PROG = "python -m verify.figure3"
PAIRS = (("ret1", "ret8"), ("ret2", "ret6"), ("plus0", "plus9"), ("plus2", "plus7"))
Results = list[tuple[str, str, "Outcome"]]  # the two tasks; prompts of all ratios


def parser() -> cli.Parser:
    """The options of the command."""
    parser = cli.Parser(
        PROG, description="Answer probability against the mixture of two tasks, prompt by prompt."
    )
    add = parser.add_argument
    add(
        "--pair",
        nargs=2,
        action="append",
        metavar=("TASK", "TASK"),
        help="two ret or two plus tasks; may be repeated (four pairs)",
    )
    add("--examples", type=cli.whole(1), default=20, help="examples of a prompt (20)")
    add("--prompts", type=cli.whole(1), default=10, help="random prompts for each ratio (10)")
    add("--seed", type=cli.whole(0), default=0, help="seed of the random prompts (0)")
    add(
        "--out",
        type=cli.stem,
        default="figure3",
        metavar="STEM",
        help="write the plot to STEM.png and STEM.svg (figure3)",
    )
    cli.add_json(parser)
    return parser


def find(pair: tuple[str, str]) -> tuple[str, int, int]:
    """The family of two tasks and their places in it. Raises ValueError for unknown, equal or
    unrelated tasks."""
    from verify.families import open_family

    if pair[0] == pair[1]:
        raise ValueError(f"--pair {' '.join(pair)}: a mixture needs two different tasks")
    for name in ("ret", "plus"):
        names = open_family(name).names
        if pair[0] in names and pair[1] in names:
            return name, names.index(pair[0]), names.index(pair[1])
    raise ValueError(f"--pair {' '.join(pair)}: must be two of ret1..ret8 or two of plus0..plus9")


def experiment(pairs: list[tuple[str, str]], examples: int, prompts: int, seed: int) -> "Results":
    """Every pair at every ratio from 0 to 1, `prompts` random prompts each."""
    import numpy as np

    from verify.mixtures import BATCH, Experiment, merge

    found = [find(pair) for pair in pairs]
    trials = {name: Experiment(name, m=examples) for name, _, _ in found}
    results: Results = []
    for (name, first, second), pair in zip(found, pairs, strict=True):
        trial = trials[name]
        counts = np.zeros((examples + 1, len(trial.family.tasks)), int)
        counts[:, first] = np.arange(examples + 1)
        counts[:, second] = examples - counts[:, first]
        rows = np.repeat(counts, prompts, 0).tolist()
        batches = trial.outcomes(np.random.default_rng(seed), rows)
        results.append(
            (*pair, merge(list(cli.progress(batches, -(-len(rows) // BATCH), " / ".join(pair)))))
        )
    return results


def as_json(results: "Results", seed: int) -> dict[str, Any]:
    """The report as plain values: every prompt's share and probability, and the statistics over all
    prompts of a pair."""
    return {
        "holds": all(outcome.holds for *_, outcome in results),
        "seed": seed,
        "results": [
            {
                "pair": [first, second],
                "share": _points(outcome.mixture, outcome, first, second),
                "probability": _points(outcome.probability, outcome, first, second),
            }
            | outcome.as_json()
            for first, second, outcome in results
        ],
    }


def _points(
    values: Any, outcome: "Outcome", first: str, second: str
) -> dict[str, list[float | None]]:
    return {
        task: [cli.finite(value) for value in values[:, outcome.names.index(task)]]
        for task in (first, second)
    }


def show(results: "Results", console: "Console") -> None:
    """Print for each pair how far prompts are from the diagonal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table("pair", "error", "bound", "other", "KL", "variance", "holds", box=SIMPLE_HEAD)
    for column in table.columns[1:6]:
        column.justify = "right"
    table.columns[0].no_wrap = True
    for first, second, outcome in results:
        numbers = (
            outcome.error,
            outcome.error_bound,
            outcome.other.max(),
            outcome.kl,
            outcome.variance.max(),
        )
        table.add_row(
            f"{first}, {second}",
            *(f"{number:.1e}" for number in numbers),
            "yes" if outcome.holds else "NO",
            style=None if outcome.holds else "bold red",
        )
    console.print(table)


def plot(results: "Results", stem: str) -> list[Any]:
    """One panel a pair: each prompt's probabilities of the two tasks against its share of the
    first."""
    import numpy as np

    from verify import plots

    with plots.figure(-(-len(results) // 2), min(2, len(results)), height=3.7) as (drawing, axes):
        for axis in axes[len(results) :]:
            axis.axis("off")
        for axis, (first, second, outcome) in zip(axes, results, strict=False):
            share = outcome.mixture[:, outcome.names.index(first)]
            lines = {"color": "#444444", "linewidth": 0.8, "label": "share of the examples"}
            axis.plot([0, 1, np.nan, 0, 1], [0, 1, np.nan, 1, 0], **lines)
            for task, color, marker in zip(
                (first, second), plots.PALETTE, plots.MARKERS, strict=False
            ):
                axis.plot(
                    share,
                    outcome.probability[:, outcome.names.index(task)],
                    marker,
                    color=color,
                    alpha=0.5,
                    label=task,
                )
            axis.set_xlabel(f"share of {first} among the examples")
            axis.set_ylabel("probability of the answer")
            axis.set_title(f"{len(share)} prompts, at most {outcome.error:.0e} off the lines")
            axis.set_aspect("equal")
            # Below: the lines and points leave no room inside.
            below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.16), "ncols": 3}
            for handle in axis.legend(frameon=False, **below).legend_handles:
                handle.set_alpha(1)  # as they look where many prompts lie on one another
        return plots.save(drawing, stem)


def main() -> int:
    """Run the experiment, print and plot it; 0 if every prompt follows its mixture, 1 if not."""
    options = parser().parse_args()
    extras.need(*extras.TABLES, *extras.PLOTS)
    pairs = [(first, second) for first, second in options.pair or PAIRS]
    results = experiment(pairs, options.examples, options.prompts, options.seed)
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
            f"{PROG}: a prompt's answer is off its mixture; the table names the pair",
            file=sys.stderr,
        )
    return cli.HOLDS if report["holds"] else cli.FAILS


if __name__ == "__main__":
    cli.run(main, PROG)
