"""The law of whole answers, held by going through all of them: every step against the definition,
the joint distribution against the mixture of the tasks' sequences, superposed decoding against the
prevalences; and beside it a chi-square test on samples."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from construct.generator import Generator
from construct.words import WordPrompt, WordTask
from verify.theorem4.definition import Verdict, continuations, judge, mixture

# Prompts of one call, so that one shape compiles.
TOGETHER = 16
# Expected counts below this are put together, as is usual.
LEAST_EXPECTED = 5.0

Prefix = tuple[int, ...]


@dataclass(frozen=True)
class Steps:
    """What a model says after a prefix, and how far that is from the definition, summed over words
    and over tasks."""

    distribution: Float[np.ndarray, "d"]
    posterior: Float[np.ndarray, "K"]
    error: float


@dataclass(frozen=True)
class Law:
    """What was found on one prompt.

    steps: by prefix. joint: of every answer that a task with examples gives, by the model and by
    the definition. step_error: the largest distance of a step, summed over words or tasks.
    joint_error: the largest difference of a whole answer's probability. variation: half the sum of
    all of them, and of what the model gives to other answers. soft_error: under superposed
    decoding, as step_error."""

    steps: dict[Prefix, Steps]
    joint: dict[Prefix, tuple[float, float]]
    step_error: float
    joint_error: float
    variation: float
    soft_error: float
    superposed: Float[np.ndarray, "steps K"]


def next_words(
    model: Generator, prompts: Sequence[Any]
) -> list[tuple[Float[np.ndarray, "d"], Float[np.ndarray, "K"]]]:
    """The next word's distribution (on vectors: the mean vector) and the posterior of each prompt,
    in float64."""
    found = []
    for first in range(0, len(prompts), TOGETHER):
        part = list(prompts[first : first + TOGETHER])
        answers = model(part + [part[0]] * (TOGETHER - len(part)))
        for answer in answers[: len(part)]:
            assert answer.posterior is not None
            found.append((answer.vector.astype(float), answer.posterior.astype(float)))
    return found


def distance(
    said: tuple[Float[np.ndarray, "d"], Float[np.ndarray, "K"]], verdict: Verdict
) -> float:
    """How far a step is from the definition: of its words or its posterior, the larger sum."""
    distribution, posterior = said
    return max(
        float(np.abs(distribution - verdict.vector).sum()),
        float(np.abs(posterior - verdict.prevalence).sum()),
    )


def law(model: Generator, tasks: Sequence[WordTask], prompt: WordPrompt) -> Law:
    """Go through every answer that has a weight, and every step of superposed decoding."""
    spec = model.spec
    start = judge(tasks, prompt, spec.m, spec.fallback)
    prefixes = continuations(start)
    said = next_words(model, [prompt.after(prefix) for prefix in prefixes])
    steps = {}
    for prefix, one in zip(prefixes, said, strict=True):
        verdict = judge(tasks, prompt.after(prefix), spec.m, spec.fallback)
        steps[prefix] = Steps(*one, distance(one, verdict))
    joint, variation = joint_of(steps, start)
    soft_error, superposed = superposed_error(model, tasks, prompt)
    return Law(
        steps=steps,
        joint=joint,
        step_error=max(step.error for step in steps.values()),
        joint_error=max((abs(said - due) for said, due in joint.values()), default=0.0),
        variation=variation,
        soft_error=soft_error,
        superposed=superposed,
    )


def joint_of(
    steps: dict[Prefix, Steps], start: Verdict
) -> tuple[dict[Prefix, tuple[float, float]], float]:
    """The probability of every answer that the mixture gives, by the model and by the definition;
    and the total variation over all answers of L words."""
    sequences, _ = mixture(start)
    joint = {}
    for answer, due in sequences.items():
        chances = [steps[answer[:t]].distribution[word] for t, word in enumerate(answer)]
        joint[answer] = (float(np.prod(chances)), float(due))
    # What goes astray leaves the listed prefixes somewhere; after that it is at most what it is.
    # Without a task to follow nothing is listed, and what is said at once is all astray.
    astray = 0.0
    for prefix, step in steps.items():
        chance = np.prod([steps[prefix[:t]].distribution[w] for t, w in enumerate(prefix)])
        on = {answer[len(prefix)] for answer in sequences if answer[: len(prefix)] == prefix}
        on |= {other[len(prefix)] for other in steps if _follows(other, prefix)}
        off = np.delete(step.distribution, sorted(on))
        astray += float(chance * off.sum())
    return joint, (sum(abs(said - due) for said, due in joint.values()) + astray) / 2


def _follows(other: Prefix, prefix: Prefix) -> bool:
    return len(other) > len(prefix) and other[: len(prefix)] == prefix


def superposed_error(
    model: Generator, tasks: Sequence[WordTask], prompt: WordPrompt
) -> tuple[float, Float[np.ndarray, "steps K"]]:
    """Feed the model's own mixture back: the largest distance of a step from the definition's,
    which is told the same mixture, and the posterior at every step."""
    spec, prefix, worst, seen = model.spec, np.zeros((0, model.spec.d)), 0.0, []
    for _ in range(spec.L):
        asked = prompt.after(prefix) if len(prefix) else prompt
        (said,) = next_words(model, [asked])
        verdict = judge(tasks, asked, spec.m, spec.fallback)
        worst = max(worst, distance(said, verdict))
        seen.append(said[1])
        prefix = np.concatenate([prefix, said[0][None]])
    return worst, np.array(seen)


def chi_square(
    model: Generator, prompt: WordPrompt, start: Verdict, samples: int, seed: int
) -> tuple[float, int, float]:
    """Pearson's statistic of sampled answers against the mixture, its degrees of freedom, and the
    chance of as large a one; answers that stop short count as one kind."""
    sequences, short = mixture(start)
    generation = model.generate(prompt, key=seed, samples=samples)
    L = start.said.shape[1]
    counts = Counter(tuple(words) if len(words) == L else () for words in generation.answers())
    due = {answer: float(weight) * samples for answer, weight in sequences.items()}
    if not due or short:
        due[()] = float(short if due else 1) * samples
    return pearson(counts, due)


def pearson(counts: Mapping[Prefix, int], due: Mapping[Prefix, float]) -> tuple[float, int, float]:
    """Pearson's statistic of counted answers against expected numbers, its degrees of freedom, and
    the chance of as large a one."""
    if set(counts) - set(due):
        return float("inf"), 1, 0.0  # an answer that no task gives
    rare = [answer for answer, expected in due.items() if expected < LEAST_EXPECTED]
    kinds = [[answer] for answer in due if answer not in rare] + ([rare] if rare else [])
    statistic = 0.0
    for kind in kinds:
        expected = sum(due[answer] for answer in kind)
        found = sum(counts.get(answer, 0) for answer in kind)
        statistic += (found - expected) ** 2 / expected
    freedom = len(kinds) - 1
    if not freedom:
        return statistic, 0, 1.0
    return statistic, freedom, float(jax.scipy.stats.chi2.sf(statistic, freedom))
