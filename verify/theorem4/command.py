"""The command `python -m verify.theorem4`: the lemmas as for every theorem, then the law of whole
answers, on words or (--vectors) on unit vectors; with --cases, thousands of random and adversarial
ones."""

import argparse
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from verify import cli, extras
from verify.enclosure import certify
from verify.record import Theorem
from verify.theorem4 import THEOREM4, cases, definition, draw, law
from verify.theorem4.law import Law
from verify.theorem4.vectors import THEOREM4_VECTORS
from verify.theorem4.vectors import cases as vector_cases
from verify.theorem4.vectors import draw as vector_draw
from verify.theorem4.vectors import law as vector_law
from verify.verification import verify

if TYPE_CHECKING:
    from rich.console import Console

PROG = "python -m verify.theorem4"
# Sampling is rejected below this chance: one run in ten thousand fails by bad luck.
LEAST_CHANCE = 1e-4
MOST_ROWS = 12


class Version(NamedTuple):
    """What the command needs of Theorem 4 on words, or on vectors. An answer is told by `told`:
    its words, or by place the first task that says the vectors so far."""

    theorem: Theorem
    kinds: tuple[str, ...]
    law: Callable[..., Law]
    chi_square: Callable[..., tuple[float, int, float]]
    attack: Callable[[int, int], cases.Attack]
    told: str
    summed: str


def _chi_square(
    model: Any, tasks: Any, prompt: Any, samples: int, seed: int
) -> tuple[float, int, float]:
    spec = model.spec
    start = definition.judge(tasks, prompt, spec.m, spec.fallback)
    return law.chi_square(model, prompt, start, samples, seed)


ON_WORDS = Version(
    THEOREM4, draw.KINDS, law.law, _chi_square, cases.attack, "answer", "summed over words"
)
ON_VECTORS = Version(
    THEOREM4_VECTORS,
    vector_draw.KINDS,
    vector_law.law,
    vector_law.chi_square,
    vector_cases.attack,
    "said by tasks",
    "in Euclidean norm",
)


def parser() -> cli.Parser:
    """The options of the command."""
    parser = cli.Parser(
        PROG,
        description="Build Theorem 4's transformer for random tasks of words or vectors, run it on "
        "random prompts, check every lemma, and go through all answers.",
    )
    add = parser.add_argument
    add(
        "--vectors",
        action="store_true",
        help="tasks of unit vectors instead of words, in a transformer with gated MLPs",
    )
    add("--K", type=cli.whole(1), default=4, help="tasks, and heads per layer (4)")
    add(
        "--d",
        type=cli.whole(1),
        default=16,
        help="words of the vocabulary, or the vectors' dimension (16)",
    )
    add("--m", type=cli.whole(1), default=32, help="in-context examples (32)")
    add("--S", type=cli.whole(1), default=2, help="inputs of a line (2)")
    add("--L", type=cli.whole(1), default=3, help="words, or vectors, of an answer (3)")
    add("--prompts", type=cli.whole(1), default=1, help="random prompts to check (1)")
    add("--seed", type=cli.whole(0), default=0, help="seed of tasks, prompts and samples (0)")
    add("--noise", type=cli.whole(0), default=0, help="examples with random answers (0)")
    add(
        "--ambiguous",
        type=cli.whole(0),
        default=0,
        help="examples of each prompt that several tasks explain (0)",
    )
    add(
        "--kind",
        choices=draw.KINDS,
        default="share",
        help="tasks that share their first words, are all but equal, ... (share); with --vectors, "
        "share or free",
    )
    add(
        "--fallback",
        action="store_true",
        help="answer a prefix that no task says by the prior, and not by nothing",
    )
    add("--samples", type=cli.whole(1), default=2000, help="answers to draw (2000)")
    add("--coldness", type=cli.positive, metavar="T", help="score gap of the heads (derived)")
    add("--dtype", choices=("float32", "float64"), default="float32", help="format (float32)")
    add(
        "--certify",
        action="store_true",
        help="certify the first prompt in ball arithmetic too (needs python-flint)",
    )
    add(
        "--cases",
        type=cli.whole(1),
        metavar="N",
        help="attack N random and adversarial cases instead, each of its own tasks",
    )
    cli.add_json(parser)
    return parser


def main() -> int:
    """Verify, print or write the report; 0 if all holds, 1 if something does not. Raises ValueError
    for a request that cannot be met, MissingExtra for a certificate without python-flint."""
    options = parser().parse_args()
    extras.need(*extras.TABLES)
    version = ON_VECTORS if options.vectors else ON_WORDS
    if options.kind not in version.kinds:
        raise ValueError(
            f"--kind {options.kind}: is of words alone; with --vectors use "
            f"{' or '.join(version.kinds)}"
        )
    if options.cases is not None:
        of_all = {"cases", "seed", "vectors", "json"}
        usual = vars(parser().parse_args([]))
        given = [key for key, value in vars(options).items() if value != usual[key]]
        if other := sorted(set(given) - of_all):
            raise ValueError(f"--{other[0]}: --cases draws its own; leave out one of the two")
        found = version.attack(options.cases, options.seed)
        if options.json != "-":
            from rich.console import Console

            found.show(Console())
        if options.json is not None:
            cli.write_json(found.as_json(), options.json)
        return cli.HOLDS if found.holds else cli.FAILS
    if options.certify:
        extras.need("flint", what="--certify")
    return _verify(version, options)


def _verify(version: Version, options: argparse.Namespace) -> int:
    theorem, proof = version.theorem, version.theorem.proof
    started = time.perf_counter()
    rng = np.random.default_rng(options.seed)
    sizes = {name: getattr(options, name) for name in ("K", "d", "m", "L", "kind", "fallback")}
    instance = theorem.draw_instance(
        rng,
        n=options.S + 1 + options.L,
        coldness=options.coldness,
        dtype=options.dtype,
        **sizes,
    )
    odd = {"noise": options.noise, "ambiguous": options.ambiguous}
    prompts = [theorem.draw_prompt(rng, instance, **odd) for _ in range(options.prompts)]
    report = verify(theorem, instance, prompts, seed=options.seed, started=started, **odd)
    model: Any = report.model
    found, spec = version.law(model, instance.tasks, prompts[0]), instance.spec
    asked = (model, instance.tasks, prompts[0], options.samples, options.seed)
    chance = version.chi_square(*asked)
    step, whole = proof.error_bound(spec), proof.joint_bound(spec)
    lawful = (
        found.step_error <= step
        and found.soft_error <= step
        and found.variation <= whole
        and chance[2] >= LEAST_CHANCE
    )
    certificate = None
    if options.certify:
        certificate = certify(theorem, model, instance.tasks, prompts[0])  # pyright: ignore
    if options.json != "-":
        from rich.console import Console

        report.show(Console())
        _show(Console(), version, spec.L, found, chance, options.samples, step, whole, lawful)
        if certificate is not None:
            certificate.show(Console())
    if options.json is not None:
        more: dict[str, Any] = {"law": _as_json(found, chance, options, step, whole, lawful)}
        if certificate is not None:
            more["certificate"] = certificate.as_json()
        cli.write_json(report.as_json() | more, options.json)
    holds = report.holds and lawful and (certificate is None or certificate.holds)
    if not holds:
        print(
            f"{PROG}: {theorem.name} does not hold here; the tables name what fails",
            file=sys.stderr,
        )
    return cli.HOLDS if holds else cli.FAILS


def _show(
    console: "Console",
    version: Version,
    L: int,
    found: Law,
    chance: tuple[float, int, float],
    samples: int,
    step: float,
    whole: float,
    lawful: bool,
) -> None:
    """Print the answers that have a weight, and what the law allows."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        version.told,
        "probability",
        "by the definition",
        title=f"all {len(found.joint)} answers of length {L} to the first prompt",
        title_justify="left",
        box=SIMPLE_HEAD,
    )
    for column in table.columns[1:]:
        column.justify = "right"
    ranked = sorted(found.joint.items(), key=lambda item: -item[1][1])
    for answer, (said, due) in ranked[:MOST_ROWS]:
        table.add_row(" ".join(map(str, answer)), f"{said:.6f}", f"{due:.6f}")
    console.print(table)
    statistic, freedom, tail = chance
    console.print(f"every step within {found.step_error:.2e} <= bound {step:.2e}, {version.summed}")
    console.print(f"all answers: total variation {found.variation:.2e} <= bound {whole:.2e}")
    console.print(
        f"superposed decoding: every step within {found.soft_error:.2e} <= bound {step:.2e}; the "
        "posterior at the last is " + " ".join(f"{one:.4f}" for one in found.superposed[-1])
    )
    console.print(
        f"{samples} sampled answers: chi-square {statistic:.2f} with {freedom} degrees of freedom, "
        f"chance {tail:.3f}"
        if freedom
        else f"{samples} sampled answers: too few, or all alike, for a chi-square test"
    )
    console.print(
        "the law holds" if lawful else "THE LAW DOES NOT HOLD",
        style="bold green" if lawful else "bold red",
    )


def _as_json(
    found: Law,
    chance: tuple[float, int, float],
    options: argparse.Namespace,
    step: float,
    whole: float,
    lawful: bool,
) -> dict[str, Any]:
    statistic, freedom, tail = chance
    return {
        "holds": lawful,
        "step_error": cli.finite(found.step_error),
        "step_bound": cli.finite(step),
        "superposed_error": cli.finite(found.soft_error),
        "superposed_posterior": found.superposed.tolist(),
        "joint_error": cli.finite(found.joint_error),
        "variation": cli.finite(found.variation),
        "variation_bound": cli.finite(whole),
        "answers": [
            {"words": list(answer), "probability": said, "definition": due}
            for answer, (said, due) in found.joint.items()
        ],
        "samples": options.samples,
        "chi_square": cli.finite(statistic),
        "degrees_of_freedom": freedom,
        "chance": tail,
    }
