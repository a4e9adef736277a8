"""Many random prompts of a family with known mixtures of tasks, and how far the transformer's
answers are from the mixtures."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from construct import Prompt, Transformer, build
from construct.families import Family
from construct.families.family import Words
from proofs.theorem1 import error_bound
from verify import cli
from verify.families import WRITINGS, open_family
from verify.prompt import superposition

PERCENTILES = (0, 25, 50, 75, 100)
# What the experiment asks for, beside the theorem's own bound: mean KL(D||P), probability on no
# task's answer, and the mean squared distance of a task's probability from the prompt's own
# mixture.
MOST_KL, MOST_OTHER, MOST_VARIANCE = 1e-6, 1e-6, 1e-10
# Prompts that are answered in one call: one compiled shape a family, and a bar that moves.
BATCH = 10


@dataclass(frozen=True, eq=False)
class Outcome:
    """The answers to P prompts. probability (P, K): of each task's answer; mixture (P, K): m_i/M
    from the words alone.

    other (P): probability on no task's answer. error: the largest distance of an answer from its
    superposition, in max norm. abstained: examples that several tasks explain, over all prompts.
    """

    names: Words
    probability: Float[np.ndarray, "P K"]
    mixture: Float[np.ndarray, "P K"]
    other: Float[np.ndarray, "P"]
    abstained: int
    error: float
    error_bound: float
    seconds: float = 0.0

    @property
    def percentiles(self) -> Float[np.ndarray, "5 K"]:
        """The 0/25/50/75/100 percentiles of each task's probability over the prompts."""
        return np.percentile(self.probability, PERCENTILES, axis=0)

    @property
    def kl(self) -> float:
        """KL(D||P) from the prompt's mixture D to the answer P, averaged over prompts; infinite
        where P misses a task."""
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(
                self.mixture > 0,
                self.mixture * np.log(self.mixture / np.maximum(self.probability, 0)),
                0,
            )
        return float(terms.sum(1).mean())

    @property
    def variance(self) -> Float[np.ndarray, "K"]:
        """By task: the mean square of its probability's distance from the prompt's own mixture."""
        return np.square(self.probability - self.mixture).mean(0)

    @property
    def variance_ratio(self) -> Float[np.ndarray, "K"]:
        """By task: variance / (p (1 - p)), p the mean mixture. 0: each prompt follows its mixture.
        1: each prompt is all or nothing, and only the average follows it."""
        p = self.mixture.mean(0)
        spread = p * (1 - p)
        # A task that no prompt shows, or every example shows, has no spread: any variance at all is
        # then infinitely much.
        empty = np.where(self.variance > 0, np.inf, 0.0)
        return np.divide(self.variance, spread, out=empty, where=spread > 0)

    @property
    def holds(self) -> bool:
        """The targets are met and every answer is within the theorem's bound (NaN meets
        nothing)."""
        return bool(
            abs(self.kl) <= MOST_KL
            and np.abs(self.other).max() <= MOST_OTHER
            and self.variance.max() <= MOST_VARIANCE
            and self.error <= self.error_bound
        )

    def as_json(self) -> dict[str, Any]:
        """The statistics as plain values; null where a number is not finite."""
        return {
            "holds": self.holds,
            "prompts": len(self.probability),
            "tasks": [
                {
                    "name": name,
                    "mixture": float(self.mixture[:, i].mean()),
                    "percentiles": dict(
                        zip(
                            map(str, PERCENTILES),
                            map(cli.finite, self.percentiles[:, i]),
                            strict=True,
                        )
                    ),
                    "variance": cli.finite(self.variance[i]),
                    "variance_ratio": cli.finite(self.variance_ratio[i]),
                }
                for i, name in enumerate(self.names)
            ],
            "other": cli.finite(np.abs(self.other).max()),
            "kl": cli.finite(self.kl),
            "abstained": self.abstained,
            "max_error": cli.finite(self.error),
            "error_bound": cli.finite(self.error_bound),
            "seconds": round(self.seconds, 3),
        }


class Experiment:
    """A family's transformer for prompts of m examples (or so many a task), and random prompts for
    it."""

    def __init__(self, name: str, *, m: int | None = None, examples_a_task: int = 1) -> None:
        self.name = name
        self.family: Family = open_family(name)
        spec = self.family.spec(m or examples_a_task * len(self.family.tasks))
        self.model: Transformer = build(spec, self.family.tasks, self.family.feature_map)

    def draw(
        self, rng: np.random.Generator, counts: Sequence[int]
    ) -> tuple[list[tuple[Words, str]], Words]:
        """Examples, counts[i] of task i, in random order, and a query on which all tasks differ.
        Ambiguity may happen."""
        draw = WRITINGS[self.name].draw
        examples = [
            (words := draw(rng), self.family.answers(words)[i])
            for i, count in enumerate(counts)
            for _ in range(count)
        ]
        while len(set(self.family.answers(query := draw(rng)))) < len(self.family.tasks):
            pass
        return [examples[j] for j in rng.permutation(len(examples))], query

    def outcomes(
        self, rng: np.random.Generator, counts: Sequence[Sequence[int]]
    ) -> Iterator[Outcome]:
        """For each row of counts the answer to a prompt that mixes the tasks so, in batches of
        equal size."""
        drawn = [self.draw(rng, row) for row in counts]
        for start in range(0, len(drawn), BATCH):
            part = drawn[start : start + BATCH]
            prompts = [self.family.prompt(*one) for one in part]
            yield self._outcome(part, prompts)

    def _outcome(
        self, drawn: Sequence[tuple[list[tuple[Words, str]], Words]], prompts: list[Prompt]
    ) -> Outcome:
        started = time.perf_counter()
        family = self.family
        filled = prompts + [prompts[-1]] * (
            BATCH - len(prompts)
        )  # the last batch compiles no shape of its own
        answers = self.model(filled)[: len(prompts)]
        explained = [[family.explain(*example) for example in examples] for examples, _ in drawn]
        mixture = np.array(
            [superposition(tuple(tasks), np.eye(len(family.tasks))) for tasks in explained]
        )
        P = np.array([answer.vector for answer in answers], np.float64)
        places = np.array(
            [[family.coordinate[word] for word in family.answers(query)] for _, query in drawn]
        )
        probability = np.take_along_axis(P, places, 1)
        expected = np.zeros_like(P)
        np.put_along_axis(expected, places, mixture, 1)
        rest = P.copy()
        np.put_along_axis(rest, places, 0, 1)
        return Outcome(
            names=family.names,
            probability=probability,
            mixture=mixture,
            other=np.abs(rest).sum(1),
            abstained=sum(len(tasks) > 1 for row in explained for tasks in row),
            error=float(np.abs(P - expected).max()),
            error_bound=error_bound(self.model.spec, prompts[0]),
            seconds=time.perf_counter() - started,
        )


def merge(parts: Sequence[Outcome]) -> Outcome:
    """The outcomes of one experiment's batches as one."""
    return Outcome(
        names=parts[0].names,
        probability=np.concatenate([part.probability for part in parts]),
        mixture=np.concatenate([part.mixture for part in parts]),
        other=np.concatenate([part.other for part in parts]),
        abstained=sum(part.abstained for part in parts),
        error=float(np.max([part.error for part in parts])),
        error_bound=parts[0].error_bound,
        seconds=sum(part.seconds for part in parts),
    )


def apportion(total: int, weights: Sequence[float]) -> list[int]:
    """Whole counts that add up to `total`, each within 1 of its weight's share."""
    edges = np.rint(total * np.cumsum(weights) / np.sum(weights)).astype(int)
    return np.diff(edges, prepend=0).tolist()
