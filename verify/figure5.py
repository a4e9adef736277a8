"""The command `python -m verify.figure5`: interpolate between two task vectors, and between two tasks in the prompt.

The paper's Figure 5 on Theorem 3's transformer. Above: the task vectors of two pure prompts are mixed, and the mixture is
patched in at the answer token. Below: the prompt's own examples are mixed. Both must give the same mixture of the two answers.
The tasks are ret1..ret8, the i-th of eight letters, as one-hot vectors: an answer is a distribution over letters.
"""

import math
import string
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verify import cli

if TYPE_CHECKING:
    import numpy as np

    from construct import Prompt, Spec, Task, Transformer

PROG = "python -m verify.figure5"
LETTERS, SLOTS = len(string.ascii_lowercase), 8


@dataclass(frozen=True, eq=False)
class Curve:
    """One panel: the share of the second task, and by share the answer's distribution over letters.

    kind: 'patched' or 'prompted'. tasks: the two. letters: what the two say of the query. answers (shares, letters).
    """

    kind: str
    tasks: tuple[int, int]
    letters: tuple[int, int]
    shares: "np.ndarray"
    answers: "np.ndarray"

    @property
    def error(self) -> float:
        """The largest distance of any letter's probability from the mixture."""
        import numpy as np

        wanted = np.zeros_like(self.answers)
        wanted[:, self.letters[0]] = 1 - self.shares
        wanted[:, self.letters[1]] = self.shares
        return float(np.abs(self.answers - wanted).max())


def parser() -> cli.Parser:
    """The options of the command."""
    parser = cli.Parser(PROG, description="Interpolate between two tasks by their task vectors and by the prompt's examples.")
    add = parser.add_argument
    add("--examples", type=cli.whole(1), default=20, help="examples of each prompt (20)")
    add("--pairs", type=cli.whole(1), default=3, help="pairs of tasks to interpolate between (3)")
    add("--steps", type=cli.whole(1), default=10, help="steps of an interpolation (10)")
    add("--dtype", choices=("float32", "float64"), default="float32", help="floating-point format (float32)")
    add("--seed", type=cli.whole(0), default=0, help="seed of the words and the pairs (0)")
    add("--out", default="figure5", metavar="STEM", help="write the plot to STEM.png and STEM.svg (figure5)")
    cli.add_json(parser)
    return parser


def ret(m: int, dtype: str) -> "tuple[Spec, list[Task]]":
    """The eight tasks ret1..ret8 on one-hot letters, and their Spec: residuals are 0 or sqrt 2."""
    import numpy as np

    from construct import Spec, Task

    tasks = [Task(slot=slot, weight=np.eye(LETTERS)) for slot in range(SLOTS)]
    margin = math.sqrt(2)
    return Spec.of(tasks, m=m, n=SLOTS + 1, margin=margin, tolerance=0.0, radius=1.0, input_radius=1.0, dtype=dtype), tasks


def write(rng: "np.random.Generator", tasks: list[int], query: "np.ndarray") -> "Prompt":
    """A prompt of random words of distinct letters, one a task in the list, labeled by it."""
    import numpy as np

    from construct import Prompt

    one_hot = np.eye(LETTERS)
    words = np.stack([rng.permutation(LETTERS)[:SLOTS] for _ in tasks])
    labels = words[np.arange(len(tasks)), tasks]
    return Prompt(inputs=one_hot[words], labels=one_hot[labels], query=one_hot[query])


def experiment(examples: int, pairs: int, steps: int, dtype: str, seed: int) -> "tuple[list[Curve], float]":
    """The curves, patched and prompted for each pair of tasks, and the error bound that they must keep."""
    import numpy as np

    from construct.theorem3 import build
    from proofs import theorem3 as proof

    rng = np.random.default_rng(seed)
    spec, tasks = ret(examples, dtype)
    model = build(spec, tasks)
    curves = []
    for _ in cli.progress(range(pairs), pairs, "interpolating"):
        first, second = (int(i) for i in rng.choice(SLOTS, 2, replace=False))
        query = rng.permutation(LETTERS)[:SLOTS]
        letters = (int(query[first]), int(query[second]))
        curves.append(patched(rng, model, (first, second), query, letters, np.linspace(0, 1, steps + 1)))
        counts = [round(examples * step / steps) for step in range(steps + 1)]
        prompts = [write(rng, [first] * (examples - count) + [second] * count, query) for count in counts]
        answers = np.stack([answer.vector for answer in model(prompts)])
        curves.append(Curve("prompted", (first, second), letters, np.array(counts) / examples, answers))
    return curves, proof.error_bound(spec)


def patched(
    rng: "np.random.Generator",
    model: "Transformer",
    tasks: tuple[int, int],
    query: "np.ndarray",
    letters: tuple[int, int],
    shares: "np.ndarray",
) -> Curve:
    """Mix the task vectors of two pure prompts, and patch the mixture into a prompt that shows the first task alone."""
    import numpy as np

    prompts = [write(rng, [task] * model.spec.m, query) for task in tasks]
    one, other = (model.trace(prompt, attention=False).task_vector for prompt in prompts)
    answers = []
    for share in shares:
        vector = (1 - share) * one + share * other
        hooks = {("tally", "w"): lambda w, vector=vector: w.at[-1].set(vector)}
        answers.append(model(prompts[0], hooks=hooks).vector)
    return Curve("patched", tasks, letters, shares, np.stack(answers))


def as_json(curves: list[Curve], bound: float, seed: int) -> dict[str, Any]:
    """The report as plain values."""
    return {
        "holds": all(curve.error <= bound for curve in curves),
        "family": "ret",
        "seed": seed,
        "error_bound": bound,
        "curves": [
            {
                "kind": curve.kind,
                "tasks": [f"ret{i + 1}" for i in curve.tasks],
                "shares": [float(share) for share in curve.shares],
                "first": [float(p) for p in curve.answers[:, curve.letters[0]]],
                "second": [float(p) for p in curve.answers[:, curve.letters[1]]],
                "max_error": curve.error,
            }
            for curve in curves
        ],
    }


def plot(curves: list[Curve], stem: str) -> list[Path]:
    """Write STEM.png and STEM.svg: patched mixtures above, prompted ones below. Raises ValueError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ValueError("the plot needs matplotlib: pip install matplotlib") from None
    rows = [[curve for curve in curves if curve.kind == kind] for kind in ("patched", "prompted")]
    drawing = Figure(figsize=(3.2 * len(rows[0]), 5.6), layout="constrained")
    for axes, row in zip(drawing.subplots(2, len(rows[0]), squeeze=False, sharex=True, sharey=True), rows, strict=True):
        for axis, curve in zip(axes, row, strict=True):
            for i, style in ((0, "o-"), (1, "s--")):
                axis.plot(curve.shares, curve.answers[:, curve.letters[i]], style, label=f"ret{curve.tasks[i] + 1}")
            axis.set_title(f"{curve.kind}: error {curve.error:.1e}", fontsize=9)
            axis.legend(fontsize=8)
    drawing.supxlabel("share of the second task")
    drawing.supylabel("probability of each task's answer")
    paths = [Path(f"{stem}.png"), Path(f"{stem}.svg")]
    drawing.savefig(paths[0], dpi=150, metadata={"Software": None})
    drawing.savefig(paths[1], metadata={"Date": None})
    return paths


def main() -> int:
    """Interpolate, print and plot; 0 if every curve is within the bound of its mixture, 1 if not."""
    options = parser().parse_args()
    curves, bound = experiment(options.examples, options.pairs, options.steps, options.dtype, options.seed)
    paths = plot(curves, options.out)
    report = as_json(curves, bound, options.seed)
    if options.json != "-":
        for curve in curves:
            first, second = (f"ret{i + 1}" for i in curve.tasks)
            print(f"{curve.kind:8} {first} to {second}: error {curve.error:.1e} <= bound {bound:.1e}: {curve.error <= bound}")
        print(f"wrote {', '.join(map(str, paths))}")
    if options.json is not None:
        cli.write_json(report, options.json)
    if not report["holds"]:
        print(f"{PROG}: an answer does not follow its mixture", file=sys.stderr)
    return cli.HOLDS if report["holds"] else cli.FAILS


if __name__ == "__main__":
    cli.run(main, PROG)
