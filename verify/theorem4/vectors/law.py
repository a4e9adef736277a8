"""The law of whole answers on vectors, held by going through all of them. An answer is told by the
first task that says it, place by place: tasks whose vectors so far are the same share a prefix."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float

from construct.vector_generator import VectorGenerator
from construct.vectors import VectorPrompt, VectorTask
from verify.theorem4.law import Law, Prefix, Steps, next_words, pearson
from verify.theorem4.vectors.definition import Verdict, judge


def paths(model: VectorGenerator, tasks: Sequence[VectorTask], query: np.ndarray) -> list[Prefix]:
    """By task its answer: for each place the first task that has said the same up to there."""
    spec, L = model.spec, model.spec.L
    said = np.array([task.matrices @ query[task.slot] for task in tasks])
    apart = np.sqrt(np.cumsum(((said[:, None] - said) ** 2).sum(-1), axis=-1))
    return [
        tuple(int((apart[i, :, t] <= spec.tolerance).argmax()) for t in range(L))
        for i in range(len(tasks))
    ]


def distance(
    said: tuple[Float[np.ndarray, "d"], Float[np.ndarray, "K"]], verdict: Verdict
) -> float:
    """How far a step is from the definition: its vector in Euclidean norm or its posterior, summed;
    the larger."""
    vector, posterior = said
    return max(
        float(np.linalg.norm(vector - verdict.vector)),
        float(np.abs(posterior - verdict.prevalence).sum()),
    )


def law(model: VectorGenerator, tasks: Sequence[VectorTask], prompt: VectorPrompt) -> Law:
    """Go through every answer that has a weight, and every step of superposed decoding."""
    spec, start = model.spec, judge(model.spec, tasks, prompt)
    answers = paths(model, tasks, prompt.query)
    prefixes = list(_prefixes(answers, start.counts))
    asked = [prompt.after(_said(tasks, prompt, prefix)) for prefix in prefixes]
    steps = {}
    for prefix, one, told in zip(prefixes, next_words(model, asked), asked, strict=True):
        steps[prefix] = Steps(*one, distance(one, judge(spec, tasks, told)))
    joint, M = {}, max(int(start.counts.sum()), 1)
    for answer in dict.fromkeys(answers):
        due = sum(m for m, other in zip(start.counts, answers, strict=True) if other == answer) / M
        if due:
            joint[answer] = (_chance(steps, answers, answer), float(due))
    soft_error, superposed = superposed_error(model, tasks, prompt)
    astray = sum(_astray(steps, answers, prefix) for prefix in steps)
    variation = (sum(abs(said - due) for said, due in joint.values()) + astray) / 2
    return Law(
        steps=steps,
        joint=joint,
        step_error=max(step.error for step in steps.values()),
        joint_error=max((abs(said - due) for said, due in joint.values()), default=0.0),
        variation=variation,
        soft_error=soft_error,
        superposed=superposed,
    )


def _prefixes(answers: Sequence[Prefix], counts: np.ndarray) -> Iterator[Prefix]:
    """All prefixes, the empty one first, of answers that have a weight, short of whole ones."""
    seen = {(): None}
    for t in range(1, len(answers[0])):
        seen |= {answer[:t]: None for answer, m in zip(answers, counts, strict=True) if m}
    yield from seen


def _said(
    tasks: Sequence[VectorTask], prompt: VectorPrompt, prefix: Prefix
) -> Float[np.ndarray, "t d"]:
    """The vectors of a prefix."""
    d = prompt.query.shape[1]
    vectors = [tasks[i].matrices[t] @ prompt.query[tasks[i].slot] for t, i in enumerate(prefix)]
    return np.array(vectors).reshape(len(prefix), d)


def _chance(steps: dict[Prefix, Steps], answers: Sequence[Prefix], answer: Prefix) -> float:
    """The probability of an answer, or of a prefix: at each place, of all tasks that go on so."""
    total = 1.0
    for t in range(len(answer)):
        posterior = steps[answer[:t]].posterior
        on = [other[: t + 1] == answer[: t + 1] for other in answers]
        total *= float(posterior[np.array(on)].sum())
    return total


def _astray(steps: dict[Prefix, Steps], answers: Sequence[Prefix], prefix: Prefix) -> float:
    """The weight of tasks that do not say a prefix, after it."""
    off = np.array([other[: len(prefix)] != prefix for other in answers])
    return _chance(steps, answers, prefix) * float(steps[prefix].posterior[off].sum())


def superposed_error(
    model: VectorGenerator, tasks: Sequence[VectorTask], prompt: VectorPrompt
) -> tuple[float, Float[np.ndarray, "steps K"]]:
    """Feed the model's own mixture back: the largest distance of a step from the definition's, and
    the posterior at every step."""
    said, worst, seen = np.zeros((0, model.spec.d)), 0.0, []
    for _ in range(model.spec.L):
        asked = prompt.after(said, soft=True)
        (one,) = next_words(model, [asked])
        worst = max(worst, distance(one, judge(model.spec, tasks, asked)))
        seen.append(one[1])
        said = np.concatenate([said, one[0][None]])
    return worst, np.array(seen)


def chi_square(
    model: VectorGenerator,
    tasks: Sequence[VectorTask],
    prompt: VectorPrompt,
    samples: int,
    seed: int,
) -> tuple[float, int, float]:
    """Pearson's statistic of sampled answers against the mixture, its degrees of freedom, and the
    chance of as large a one. An answer is told by the last task that it follows."""
    start, answers = judge(model.spec, tasks, prompt), paths(model, tasks, prompt.query)
    drawn = model.generate(prompt, key=seed, samples=samples).tasks
    assert drawn is not None
    counts = Counter(answers[i] if i >= 0 else () for i in drawn[:, -1].tolist())
    M, due = int(start.counts.sum()), dict.fromkeys(answers, 0.0)
    for answer, m in zip(answers, start.counts, strict=True):
        due[answer] += samples * m / M if M else 0.0
    if not M:
        due = {(): float(samples)}
    return pearson(counts, {answer: one for answer, one in due.items() if one})
