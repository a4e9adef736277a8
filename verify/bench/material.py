"""The prompts of a task set, and a subject's runs of them, made once and shared by the methods.

Every purpose has its own random numbers, from the plan's seed and its name: all subjects are asked
the same prompts of a set, and a method that is added or left out moves no other's.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
from jaxtyping import Float

from verify.bench.subject import Change, Run, Subject, Writer
from verify.bench.tasksets import NOISE, Case, TaskSet, case, counted, sampled


@dataclass(frozen=True)
class Sizes:
    """How much is asked. lines: of a prompt that mixes two tasks. each: lines a task, where all of
    a set are mixed. prompts: of the even mixture of all tasks. sweep: a sampled share. mixed: a
    fixed share (of the pure ones, half fit and half test). queries: zero-shot. causal: prompts of a
    causal method. every: causal methods try every so many layers. heads: single heads that are
    ablated one by one, half the best by attribution and half at random."""

    lines: int
    each: int
    prompts: int = 100
    sweep: int = 60
    mixed: int = 50
    queries: int = 32
    causal: int = 16
    every: int = 1
    heads: int = 1000


SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the sweep: those that the paper logs
MIXED = (0.0, 0.25, 0.5, 0.75, 1.0)  # fixed shares


class Material:
    """A subject, a task set, and what was asked."""

    def __init__(self, subject: Subject | Writer, tasks: TaskSet, sizes: Sizes, seed: int) -> None:
        # One that only writes is asked by `collapse` alone.
        self.subject = cast(Subject, subject)
        self.tasks, self.sizes, self.seed = tasks, sizes, seed
        longest = max(sizes.lines, sizes.each * len(tasks.mixed))
        subject.prepare(tasks, longest)

    def rng(self, purpose: str) -> np.random.Generator:
        """The random numbers of a purpose."""
        return np.random.default_rng(
            [self.seed, zlib.crc32(self.tasks.name.encode()), zlib.crc32(purpose.encode())]
        )

    @property
    def pair(self) -> tuple[int, int]:
        """The two tasks that are mixed."""
        return self.tasks.pair

    def shares(self, cases: Sequence[Case]) -> Float[np.ndarray, "P K"]:
        """m_i / M by prompt and task."""
        return np.stack([one.share(self.tasks.K) for one in cases])

    def pair_counts(self, share: float) -> list[int]:
        """Lines of each task if the first of the pair has this share."""
        counts = [0] * self.tasks.K
        first, second = self.pair
        counts[first] = round(share * self.sizes.lines)
        counts[second] = self.sizes.lines - counts[first]
        return counts

    @cached_property
    def evenly(self) -> list[Case]:
        """Prompts that mix several tasks evenly."""
        mixed = self.tasks.mixed
        counts = [self.sizes.each * (i in mixed) for i in range(self.tasks.K)]
        return counted(self.tasks, self.rng("even"), counts, self.sizes.prompts)

    @cached_property
    def even(self) -> tuple[list[Case], Run]:
        """Prompts of several tasks evenly, and the run."""
        return self.evenly, self.subject.run(self.evenly)

    @cached_property
    def swept(self) -> dict[float, tuple[list[Case], Run]]:
        """By share, prompts each line of which is drawn."""
        found = {}
        for share in SHARES:
            rng = self.rng(f"sweep {share}")
            cases = sampled(self.tasks, rng, share, self.sizes.lines, self.sizes.sweep)
            found[share] = cases, self.subject.run(cases)
        return found

    @cached_property
    def mixed(self) -> dict[float, tuple[list[Case], Run]]:
        """By share, prompts with a fixed number of lines of each of the pair; 0 and 1 are pure."""
        found = {}
        for share in MIXED:
            rng = self.rng(f"mixed {share}")
            cases = counted(self.tasks, rng, self.pair_counts(share), self.sizes.mixed)
            found[share] = cases, self.subject.run(cases)
        return found

    def pure(self, which: int) -> tuple[list[Case], Run]:
        """Prompts of the pair's first task alone (0) or of its second (1)."""
        return self.mixed[1.0 if which == 0 else 0.0]

    def mean(self, which: int, place: str = "answer") -> Float[np.ndarray, "L1 D"]:
        """The mean stream of a pure task's prompts at a place: by layer, its task vector."""
        return self.pure(which)[1].at(place).mean(0)

    @cached_property
    def zero(self) -> list[Case]:
        """Prompts without evidence."""
        rng = self.rng("zero")
        cases = [case(self.tasks, rng, [NOISE]) for _ in range(self.sizes.queries)]
        return [self.subject.zero_shot(self.tasks, one) for one in cases]

    def tried_layers(self) -> list[int]:
        """The layers, of `Run.streams`, that causal methods change: the embedding's 0 never."""
        L = len(self.subject.layers)
        return sorted({*range(L, 0, -self.sizes.every)})

    @cached_property
    def injected(self) -> dict[int, Float[np.ndarray, "2 Q K"]]:
        """By layer, the zero-shot prompts' answers with each pure task's mean in the place of the
        answer token's stream."""
        return {
            layer: np.stack(
                [
                    self.subject.run(
                        self.zero, Change(layer=layer, vector=self.mean(which)[layer])
                    ).answers
                    for which in (0, 1)
                ]
            )
            for layer in self.tried_layers()
        }

    @cached_property
    def best_layer(self) -> int:
        """The layer whose task vectors work best in zero-shot prompts: the largest of the layers'
        lesser mean probability of the two tasks. A constructed subject's answer need be no
        distribution once it is patched; what is none does not count."""

        def score(layer: int) -> float:
            if not -1e-6 <= self.injected[layer].min() <= self.injected[layer].max() <= 1 + 1e-6:
                return -1.0
            found = self.injected[layer].mean(1)
            return float(min(found[0, self.pair[0]], found[1, self.pair[1]]))

        return max(self.injected, key=score)
