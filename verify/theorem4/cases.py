"""Thousands of random and adversarial cases of Theorem 4, each with tasks of its own, on few
shapes.

Noise, wrong last words, words left out, blank inputs and blank entries of tables, shared prefixes,
all but equal tasks, few examples, prefixes that no task says, both answers to these; in float32 and
float64, hard and warm. Every step of every answer, every answer, every step of superposed decoding,
and the next word at every place of the prompt are held against the definition."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from construct.generator import Generator
from construct.theorem4 import build
from construct.words import WordPrompt, WordTask
from proofs.theorem4 import error_bound, joint_bound
from verify import cli
from verify.theorem4.context import context_errors
from verify.theorem4.definition import Verdict, continuations, judge
from verify.theorem4.draw import KINDS, Impossible, Instance, draw_instance, draw_prompt
from verify.theorem4.law import Steps, distance, joint_of, next_words, superposed_error

if TYPE_CHECKING:
    from rich.console import Console


class Shape(NamedTuple):
    """What decides how a case compiles; examples: how many a prompt has, at least and at most."""

    K: int
    d: int
    m: int
    S: int
    L: int
    examples: tuple[int, int]


SHAPES = (
    Shape(1, 2, 1, 1, 1, (1, 1)),
    Shape(2, 3, 4, 1, 4, (2, 4)),
    Shape(3, 5, 4, 2, 2, (2, 4)),
    Shape(6, 8, 16, 3, 3, (5, 16)),
    Shape(5, 6, 16, 2, 4, (5, 16)),
    Shape(4, 4, 1, 2, 3, (1, 1)),
    Shape(3, 4, 16, 1, 3, (1, 1)),
)
# (dtype, coldness): half of all cases in float32; of the others some warm ones.
FORMATS = (("float32", None),) * 4 + (("float64", None),) * 3 + (("float64", 20.0),)
LIMITS = {"float32": 1e-6, "float64": 1e-14}
# Of how many cases one is held at every place of its prompt.
EVERY_PLACE = 20


@dataclass
class Attack:
    """What was found. worst: by format and by what was looked at, the largest error (steps are
    summed over words). ratio: by format the largest share of its bound that an error took. outside:
    errors beyond their bound, in words. shapes: the programs that were compiled."""

    cases: int = 0
    prefixes: int = 0
    answers: int = 0
    without_evidence: int = 0
    ambiguous: int = 0
    worst: dict[tuple[str, str], float] = field(default_factory=dict)
    ratio: dict[str, float] = field(default_factory=dict)
    outside: list[str] = field(default_factory=list)
    shapes: set[tuple[Any, ...]] = field(default_factory=set)

    def see(self, where: str, what: str, error: float, bound: float, case: int) -> None:
        """Keep an error, and hold it against its bound."""
        key = (where, what)
        self.worst[key] = max(self.worst.get(key, 0.0), error)
        self.ratio[where] = max(self.ratio.get(where, 0.0), error / bound)
        if not error <= bound:
            self.outside.append(f"case {case}, {where}: {what} off by {error:.3g} > {bound:.3g}")
        limit = LIMITS.get(where)
        if limit is not None and not error <= limit:
            self.outside.append(f"case {case}, {where}: {what} off by {error:.3g} > {limit:g}")

    @property
    def holds(self) -> bool:
        """Nothing was outside."""
        return not self.outside

    def as_json(self) -> dict[str, Any]:
        """The numbers as plain values."""
        return {
            "holds": self.holds,
            "cases": self.cases,
            "prefixes": self.prefixes,
            "answers": self.answers,
            "without_evidence": self.without_evidence,
            "ambiguous_examples": self.ambiguous,
            "compiled_shapes": len(self.shapes),
            "worst": {f"{where} {what}": error for (where, what), error in self.worst.items()},
            "share_of_bound": dict(self.ratio),
            "outside": self.outside,
        }

    def show(self, console: "Console") -> None:
        """Print the worst errors, a row a format."""
        kinds = list(dict.fromkeys(what for _, what in self.worst))
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        table = Table("format", *kinds, "share of its bound", box=SIMPLE_HEAD)
        for column in table.columns[1:]:
            column.justify = "right"
        for where in self.ratio:
            errors = [f"{self.worst.get((where, what), 0.0):.2e}" for what in kinds]
            table.add_row(where, *errors, f"{self.ratio[where]:.3f}")
        console.print(
            f"{self.cases} cases, {self.prefixes} prefixes, {self.answers} answers, "
            f"{self.without_evidence} prompts without evidence, {self.ambiguous} ambiguous "
            f"examples; {len(self.shapes)} compiled shapes"
        )
        console.print(table)
        for line in self.outside[:20]:
            console.print(line, style="bold red")
        console.print(
            "all within their bounds" if self.holds else f"{len(self.outside)} OUTSIDE",
            style="bold green" if self.holds else "bold red",
        )


def attack(cases: int, seed: int = 0) -> Attack:
    """Attack so many cases."""
    found = Attack()
    for case in cli.progress(range(cases), cases, f"attacking {cases} cases"):
        rng = np.random.default_rng((seed, case))
        instance, where = drawn(rng, case)
        one(found, rng, case, instance, where)
    return found


def drawn(rng: np.random.Generator, case: int) -> tuple[Instance, str]:
    """The tasks of a case, and what its format is called."""
    shape = SHAPES[case % len(SHAPES)]
    dtype, coldness = FORMATS[case // len(SHAPES) % len(FORMATS)]
    kinds = iter(rng.permutation(KINDS).tolist() + ["free"] * 100)
    while True:  # of a small vocabulary there may not be K twins
        try:
            instance = draw_instance(
                rng,
                K=shape.K,
                d=shape.d,
                m=shape.m,
                n=shape.S + 1 + shape.L,
                L=shape.L,
                kind=next(kinds),
                blanks=float(rng.choice([0.0, 0.1])),
                fallback=bool(rng.integers(2)),
                coldness=coldness,
                dtype=dtype,
            )
        except Impossible:
            continue
        return instance, dtype if coldness is None else f"{dtype} T = {coldness:g}"


def one(found: Attack, rng: np.random.Generator, case: int, instance: Instance, where: str) -> None:
    """Attack one case."""
    spec, tasks = instance.spec, instance.tasks
    least, most = SHAPES[case % len(SHAPES)].examples
    prompt = draw_prompt(
        rng,
        instance,
        examples=int(rng.integers(least, most + 1)),
        noise=None,
        empty=0.05,
        shares=np.eye(spec.K)[rng.integers(spec.K)] if rng.random() < 0.15 else None,
    )
    model = build(spec, tasks)
    found.shapes.add((spec.K, spec.d, spec.m, spec.n, spec.L, spec.dtype, prompt.examples > 1))
    start = judge(tasks, prompt, spec.m, spec.fallback)
    found.cases += 1
    found.without_evidence += not start.counts.any()
    found.ambiguous += int((start.explains.sum(0) > 1).sum())
    step_bound = error_bound(spec)
    steps = {}
    for prefix, said, verdict in _steps(model, tasks, prompt, start, rng):
        error = distance(said, verdict)
        found.see(where, "step", error, step_bound, case)
        steps[prefix] = Steps(said[0], said[1], error)
    found.prefixes += len(steps)
    listed = {prefix: steps[prefix] for prefix in continuations(start)}
    joint, variation = joint_of(listed, start)
    found.answers += len(joint)
    whole = joint_bound(spec)
    worst = max((abs(said - due) for said, due in joint.values()), default=0.0)
    found.see(where, "answer", worst, 2 * whole, case)
    found.see(where, "variation", variation, whole, case)
    found.see(where, "superposed", superposed_error(model, tasks, prompt)[0], step_bound, case)
    if case % EVERY_PLACE == 0 and spec.dtype == "float32":
        found.shapes.add((spec.K, spec.d, spec.m, spec.n, spec.L, "every place"))
        worst = float(context_errors(model, tasks, prompt).max(initial=0))
        found.see(where, "every place", worst, step_bound, case)


def _steps(
    model: Generator,
    tasks: list[WordTask],
    prompt: WordPrompt,
    start: Verdict,
    rng: np.random.Generator,
) -> Iterator[tuple[tuple[int, ...], Any, Verdict]]:
    """Every prefix that a task with examples says, and two that perhaps none does: what the model
    and the definition say after it."""
    spec = model.spec
    odd = [tuple(rng.integers(spec.d, size=rng.integers(spec.L)).tolist()) for _ in range(2)]
    prefixes = list(dict.fromkeys([*continuations(start), *odd]))
    prompts = [prompt.after(prefix) for prefix in prefixes]
    for prefix, asked, said in zip(prefixes, prompts, next_words(model, prompts), strict=True):
        yield prefix, said, judge(tasks, asked, spec.m, spec.fallback)
