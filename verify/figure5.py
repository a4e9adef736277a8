"""The command `python -m verify.figure5`: interpolate between two task vectors, and between two
tasks in the prompt.

The paper's Figure 5 on Theorem 3's transformer. Above: the task vectors of two pure prompts are
mixed, and the mixture is patched in at the answer token. Below: the prompt's own examples are
mixed. Both must give the same mixture of the two answers. The families are one-hot vocabularies, so
that an answer is a distribution over words.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verify import cli, extras

if TYPE_CHECKING:
    import numpy as np

    from construct import Prompt, Transformer
    from construct.families import Family
    from construct.families.family import Words
    from verify.families import Writing

PROG = "python -m verify.figure5"
FAMILIES = ("ret", "country")


@dataclass(frozen=True, eq=False)
class Curve:
    """One panel: the share of the second task, and by share the answer's distribution over the
    vocabulary.

    kind: 'patched' or 'prompted'. tasks: the two. words: the coordinates of what they say of the
    query. answers (shares, d).
    """

    family: str
    kind: str
    tasks: tuple[str, str]
    words: tuple[int, int]
    shares: "np.ndarray"
    answers: "np.ndarray"
    error_bound: float

    @property
    def error(self) -> float:
        """The largest distance of any word's probability from the mixture."""
        import numpy as np

        wanted = np.zeros_like(self.answers)
        wanted[:, self.words[0]] = 1 - self.shares
        wanted[:, self.words[1]] = self.shares
        return float(np.abs(self.answers - wanted).max())


def parser() -> cli.Parser:
    """The options of the command."""
    parser = cli.Parser(
        PROG,
        description="Interpolate between two tasks by their task vectors and by the prompt's "
        "examples.",
    )
    add = parser.add_argument
    add("--examples", type=cli.whole(1), default=20, help="examples of each prompt (20)")
    add("--family", choices=FAMILIES, action="append", help="a family; may be repeated (both)")
    add(
        "--pairs",
        type=cli.whole(1),
        default=2,
        help="pairs of tasks to interpolate between, by family (2)",
    )
    add("--steps", type=cli.whole(1), default=10, help="steps of an interpolation (10)")
    add(
        "--dtype",
        choices=("float32", "float64"),
        default="float32",
        help="floating-point format (float32)",
    )
    add("--seed", type=cli.whole(0), default=0, help="seed of the words and the pairs (0)")
    add(
        "--out",
        type=cli.stem,
        default="figure5",
        metavar="STEM",
        help="write the plot to STEM.png and STEM.svg (figure5)",
    )
    cli.add_json(parser)
    return parser


def experiment(
    families: Sequence[str], examples: int, pairs: int, steps: int, dtype: str, seed: int
) -> list[Curve]:
    """The curves, patched and prompted for each pair of tasks of each family."""
    from dataclasses import replace

    import numpy as np

    from construct.theorem3 import build
    from proofs import theorem3 as proof
    from verify.families import WRITINGS, open_family

    curves = []
    for name in families:
        rng = np.random.default_rng(seed)
        writing = WRITINGS[name]
        family = open_family(name)
        spec = replace(family.spec(examples), dtype=dtype)
        model, bound = build(spec, family.tasks), proof.error_bound(spec)
        for _ in cli.progress(range(pairs), pairs, name):
            first, second = map(int, rng.choice(len(family.tasks), 2, replace=False))
            pair = (first, second)
            query = draw(rng, family, writing, pair)
            said = family.answers(query)
            words = (family.coordinate[said[first]], family.coordinate[said[second]])
            tasks = (family.names[first], family.names[second])
            shares = np.linspace(0, 1, steps + 1)
            counts = [round(examples * share) for share in shares]
            prompts = [
                mixed(rng, family, writing, [examples - count, count], pair, query)
                for count in counts
            ]
            answers = patched(model, prompts[0], prompts[-1], shares)
            curves.append(Curve(name, "patched", tasks, words, shares, answers, bound))
            answers = np.stack([answer.vector for answer in model(prompts)])
            curves.append(
                Curve(name, "prompted", tasks, words, np.array(counts) / examples, answers, bound)
            )
    return curves


def draw(
    rng: "np.random.Generator", family: "Family", writing: "Writing", pair: tuple[int, ...]
) -> "Words":
    """Random words on which these tasks differ from one another and from all others."""
    while True:
        words = writing.draw(rng)
        answers = family.answers(words)
        if all(answers.count(answers[i]) == 1 for i in pair):
            return words


def mixed(
    rng: "np.random.Generator",
    family: "Family",
    writing: "Writing",
    counts: list[int],
    pair: tuple[int, ...],
    query: "Words",
) -> "Prompt":
    """A prompt with so many examples of each of two tasks, and the query."""
    examples = []
    for task, count in zip(pair, counts, strict=True):
        for _ in range(count):
            words = draw(rng, family, writing, (task,))
            examples.append((words, family.answers(words)[task]))
    return family.prompt(examples, query)


def patched(
    model: "Transformer", first: "Prompt", second: "Prompt", shares: "np.ndarray"
) -> "np.ndarray":
    """The answers to the first prompt with mixtures of the two prompts' task vectors in the place
    of its own."""
    import numpy as np

    one, other = (model.trace(prompt, attention=False).task_vector for prompt in (first, second))
    answers = []
    for share in shares:
        vector = (1 - share) * one + share * other
        hooks = {("tally", "w"): lambda w, vector=vector: w.at[-1].set(vector)}
        answers.append(model(first, hooks=hooks).vector)
    return np.stack(answers)


def as_json(curves: list[Curve], seed: int) -> dict[str, Any]:
    """The report as plain values."""
    return {
        "holds": all(curve.error <= curve.error_bound for curve in curves),
        "seed": seed,
        "curves": [
            {
                "family": curve.family,
                "kind": curve.kind,
                "tasks": list(curve.tasks),
                "shares": [float(share) for share in curve.shares],
                "first": [float(p) for p in curve.answers[:, curve.words[0]]],
                "second": [float(p) for p in curve.answers[:, curve.words[1]]],
                "max_error": curve.error,
                "error_bound": curve.error_bound,
            }
            for curve in curves
        ],
    }


def plot(curves: list[Curve], stem: str) -> list[Path]:
    """Write STEM.png and STEM.svg: patched mixtures above, prompted ones below."""
    from verify import plots

    ordered = [curve for kind in ("patched", "prompted") for curve in curves if curve.kind == kind]
    with plots.figure(2, len(ordered) // 2) as (drawing, axes):
        for axis, curve in zip(axes, ordered, strict=True):
            for i, task in enumerate(curve.tasks):
                style = {"marker": plots.MARKERS[i], "color": plots.PALETTE[i]}
                axis.plot(
                    curve.shares,
                    curve.answers[:, curve.words[i]],
                    label=task,
                    clip_on=False,  # markers at 0 and 1 are whole
                    **style,
                )
            axis.set_title(f"{curve.family}, {curve.kind}: error {curve.error:.0e}")
            axis.set_ylim(0, 1)
            axis.legend()
        drawing.supxlabel("share of the second task")
        drawing.supylabel("probability of each task's answer")
        return plots.save(drawing, stem)


def main() -> int:
    """Interpolate, print and plot; 0 if every curve is within the bound of its mixture, 1
    if not."""
    options = parser().parse_args()
    extras.need(*extras.PLOTS, *extras.FAMILIES)
    families = options.family or list(FAMILIES)
    curves = experiment(
        families, options.examples, options.pairs, options.steps, options.dtype, options.seed
    )
    paths = plot(curves, options.out)
    report = as_json(curves, options.seed)
    if options.json != "-":
        for curve in curves:
            holds = "holds" if curve.error <= curve.error_bound else "DOES NOT HOLD"
            tasks = " to ".join(curve.tasks)
            print(
                f"{curve.family} {curve.kind:8} {tasks}: error {curve.error:.1e}, bound "
                f"{curve.error_bound:.1e}: {holds}"
            )
        print(f"wrote {', '.join(map(str, paths))}")
    if options.json is not None:
        cli.write_json(report, options.json)
    if not report["holds"]:
        print(f"{PROG}: an answer does not follow its mixture", file=sys.stderr)
    return cli.HOLDS if report["holds"] else cli.FAILS


if __name__ == "__main__":
    cli.run(main, PROG)
