"""Random and adversarial cases of Theorem 4 on vectors, each with tasks of its own, on few shapes:
noise, wrong later vectors, ambiguity, shared prefixes, few examples, prefixes that no task says,
both answers to these; in float32 and float64, hard and warm."""

from collections.abc import Iterator

import numpy as np

from construct.theorem4.vectors import build
from construct.vectors import VectorPrompt
from proofs.theorem4.vectors import error_bound, joint_bound
from verify import cli
from verify.draw import Impossible
from verify.theorem4.cases import FORMATS, Attack, Shape
from verify.theorem4.law import next_words
from verify.theorem4.vectors.definition import judge
from verify.theorem4.vectors.draw import KINDS, Instance, draw_instance, draw_prompt, unit
from verify.theorem4.vectors.law import distance, law

SHAPES = (
    Shape(1, 3, 1, 1, 1, (1, 1)),
    Shape(3, 4, 4, 2, 2, (2, 4)),
    Shape(6, 8, 16, 3, 3, (5, 16)),
    Shape(4, 5, 16, 1, 4, (1, 1)),
    Shape(2, 3, 4, 1, 3, (2, 4)),
)


def attack(cases: int, seed: int = 0) -> Attack:
    """Attack so many cases."""
    found = Attack()
    for case in cli.progress(range(cases), cases, f"attacking {cases} cases"):
        _one(found, np.random.default_rng((seed, case)), case)
    return found


def _drawn(
    rng: np.random.Generator, shape: Shape, dtype: str, coldness: float | None
) -> tuple[Instance, VectorPrompt]:
    """The tasks of a case and a prompt; tasks that few prompts tell apart are drawn again."""
    while True:
        instance = draw_instance(
            rng,
            K=shape.K,
            d=shape.d,
            m=shape.m,
            n=shape.S + 1 + shape.L,
            L=shape.L,
            kind=str(rng.choice(KINDS)),
            fallback=bool(rng.integers(2)),
            coldness=coldness,
            dtype=dtype,
        )
        examples = int(rng.integers(shape.examples[0], shape.examples[1] + 1))
        one_task = np.eye(shape.K)[rng.integers(shape.K)] if rng.random() < 0.15 else None
        ambiguous = int(shape.K > 1 and examples > 1 and rng.random() < 0.3)
        odd = {"noise": None, "ambiguous": ambiguous, "shares": one_task}
        try:
            return instance, draw_prompt(rng, instance, examples=examples, **odd)
        except Impossible:
            continue


def _one(found: Attack, rng: np.random.Generator, case: int) -> None:
    """Attack one case."""
    shape = SHAPES[case % len(SHAPES)]
    dtype, coldness = FORMATS[case // len(SHAPES) % len(FORMATS)]
    instance, prompt = _drawn(rng, shape, dtype, coldness)
    spec, tasks = instance.spec, instance.tasks
    where = dtype if coldness is None else f"{dtype} T = {coldness:g}"
    model, start = build(spec, tasks), judge(spec, tasks, prompt)
    found.shapes.add((spec.K, spec.d, spec.m, spec.n, spec.L, spec.dtype, prompt.examples > 1))
    found.cases += 1
    found.without_evidence += not start.counts.any()
    found.ambiguous += int((start.explains.sum(0) > 1).sum())
    step, whole, said = error_bound(spec), joint_bound(spec), law(model, tasks, prompt)
    found.prefixes += len(said.steps)
    found.answers += len(said.joint)
    found.see(where, "step", said.step_error, step, case)
    found.see(where, "answer", said.joint_error, 2 * whole, case)
    found.see(where, "variation", said.variation, whole, case)
    found.see(where, "superposed", said.soft_error, step, case)
    for told in _odd(rng, instance, prompt):
        (one,) = next_words(model, [told])
        found.prefixes += 1
        found.see(where, "step", distance(one, judge(spec, tasks, told)), step, case)


def _odd(
    rng: np.random.Generator, instance: Instance, prompt: VectorPrompt
) -> Iterator[VectorPrompt]:
    """After vectors that no task says."""
    spec = instance.spec
    if spec.L < 2:
        return
    told = prompt.after(unit(rng, int(rng.integers(1, spec.L)), spec.d))
    try:
        judge(spec, instance.tasks, told)
    except ValueError:  # by chance between
        return
    yield told
