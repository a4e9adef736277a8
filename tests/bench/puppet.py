"""A subject whose every number is known by hand.

Its stream is [w | labels]. Layer 1's head 0 writes each task's share into w at the answer token;
layer 2's head 0 writes sum_i w_i (answer of task i) into labels there. Layer 2's head 1 writes
nothing, layer 1's head 1 something that nobody reads. With `picks`, w is one task alone, drawn with
the shares as chances: what a model does that goes all the way with one task.
"""

import numpy as np

from verify.bench.subject import PLACES, Change, Run, Slopes
from verify.bench.tasksets import NOISE, Case, TaskSet, case


class Puppet:
    kind, softmax, layers, heads, size = "trained", False, ("one", "two"), 2, 1000

    def __init__(self, picks: bool = False) -> None:
        self.name, self.picks = "puppet", picks

    def prepare(self, tasks: TaskSet, lines: int) -> None:
        self.tasks, self.K = tasks, tasks.K
        self.words = tasks.family.vocabulary
        self.D = self.K + len(self.words) + 1

    def zero_shot(self, tasks: TaskSet, one: Case) -> Case:
        return case(tasks, np.random.default_rng(0), [NOISE], one.query)

    def _shares(self, one: Case) -> np.ndarray:
        share = one.share(self.K)
        if not self.picks or not share.any():
            return share
        seed = sum(map(ord, "".join(label for _, label in one.lines)))
        return np.eye(self.K)[np.random.default_rng(seed).choice(self.K, p=share)]

    def _said(self, one: Case) -> np.ndarray:
        rows = [self.words.index(word) for word in one.answers]
        return np.eye(len(self.words))[rows]

    def _pass(self, one: Case, index: int, change: Change):
        keep = np.ones((2, 2)) if change.keep is None else change.keep
        x = np.zeros((len(PLACES), self.D))
        streams, heads = [x.copy()], np.zeros((2, 2, self.D))
        for layer in (0, 1):
            if layer == 0:
                heads[0, 0, : self.K] = self._shares(one)
                heads[0, 1, -1] = 1.0
            else:
                heads[1, 0, self.K : -1] = x[0, : self.K] @ self._said(one)
            heads[layer] *= keep[layer][:, None]
            x[0] += heads[layer].sum(0)
            if change.layer == layer + 1 and change.target == "answer":
                vector = change.vector[index] if change.vector.ndim == 2 else change.vector
                x[0] = x[0] + vector if change.add else vector
            streams.append(x.copy())
        return np.stack(streams, 1), heads, x[0, self.K : -1]

    def run(self, cases, change: Change | None = None, heads: str | None = None) -> Run:
        found = [self._pass(one, i, change or Change()) for i, one in enumerate(cases)]
        answers = np.stack([self._said(one) @ v for one, (*_, v) in zip(cases, found, strict=True)])
        ranked = np.sort([v for *_, v in found], 1)[:, ::-1]
        written = np.stack([h for _, h, _ in found])
        return Run(
            answers=answers,
            first=answers,
            ranked=ranked[:, : self.K],
            inside=ranked.sum(1),
            top_inside=ranked[:, 0] > 0,
            streams=np.stack([s for s, *_ in found]),
            heads=written if heads == "answer" else 0 * written,
            scale=np.ones(len(cases)),
        )

    def slopes(self, cases, pair) -> Slopes:
        keep, stream = np.zeros((len(cases), 2, 2)), np.zeros((len(cases), 3, self.D))
        for i, one in enumerate(cases):
            said, w = self._said(one), self._shares(one)
            keep[i, :, 0] = w[pair[0]] - w[pair[1]]
            step = said[pair[0]] - said[pair[1]]
            stream[i, :, self.K : -1] = step
            stream[i, :2, : self.K] = said @ step
        return Slopes(keep, stream)

    def unembed(self, words) -> np.ndarray:
        rows = np.zeros((len(words), self.D))
        for row, word in zip(rows, words, strict=True):
            row[self.K + self.words.index(word)] = 1
        return rows
