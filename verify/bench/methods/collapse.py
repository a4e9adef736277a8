"""Collapse along a generated answer: how many tasks could an answer still be of, word by word?

Before each word a transformer says how likely it is that the rest of each task's answer follows:
its posterior over tasks. Sampling is followed through every answer that some task gives, each
weighed by its probability, so nothing is drawn; beside it greedy decoding and, where a mixture of
words can be fed back, superposed decoding. What is counted: the tasks left, exp of the posterior's
entropy. It is 1 where one task is left, be it because words were said that only this task says, or
because the prompt alone decided.

That the mean posterior over samples keeps its shares holds of whatever samples, by the chain rule;
that the shares are the prompt's, and on every prompt, is what Theorem 4 says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from verify.bench.material import Material
from verify.bench.stats import interval
from verify.bench.subject import Claim, Finding, Writer
from verify.bench.tasksets import Case
from verify.posteriors import Said, paths

TITLE = "Collapse along a generated answer"
DRAWN = 12  # prompts whose answers are drawn one by one
Prefix = tuple[int, ...]


@dataclass(frozen=True)
class Law:
    """The definition on cases of a writer's: m_i over the sum of those whose answers go on so, and
    m_i/M where words are mixtures. It asks the writer for nothing but its words' numbers."""

    writer: Writer
    size: int  # words that have a number
    name: str = "definition"
    soft: bool = True

    def written(self, case: Case) -> list[Prefix]:
        """Each task's answer, as the writer has it."""
        return self.writer.written(case)

    def ask(self, prompt: Case, prefixes: Sequence[np.ndarray]) -> list[Said]:
        """What is due after each prefix."""
        written, found = self.written(prompt), []
        share = prompt.share(len(written))
        for prefix in prefixes:
            soft, t = prefix.ndim == 2, len(prefix)
            held = [soft or answer[:t] == tuple(prefix.tolist()) for answer in written]
            posterior = np.where(held, share, 0)
            posterior = posterior / posterior.sum() if posterior.any() else posterior
            distribution = np.zeros(self.size)
            for weight, answer in zip(posterior, written, strict=True):
                if t < len(answer):
                    distribution[answer[t]] += weight
            found.append(Said(distribution, posterior))
        return found


@dataclass(frozen=True)
class Tree:
    """All that a writer says on the way through the tasks' answers. chances: of each prefix that
    some task says, whole answers too, by the probabilities of its words; posteriors: after it, and
    of a whole answer its task's alone."""

    written: list[Prefix]
    chances: dict[Prefix, float]
    posteriors: dict[Prefix, Float[np.ndarray, "K"]]

    @property
    def steps(self) -> int:
        """The words of the longest answer."""
        return max(map(len, self.written))

    def mean(self, step: int) -> Float[np.ndarray, "K"]:
        """The posterior over all samples, shorter answers included; what no task says has none."""
        ended = {answer for answer in self.written if len(answer) <= step}
        there = [p for p in self.posteriors if len(p) == step or p in ended]
        return np.sum([self.chances[p] * self.posteriors[p] for p in there], 0)

    def left(self, step: int) -> float:
        """Tasks left before the next word, over the samples that some task says and that have not
        ended."""
        asked = [p for p in self.posteriors if len(p) == step and p not in self.written]
        found = [(self.chances[p], self.posteriors[p]) for p in asked]
        pairs = [(chance, tasks_left(one)) for chance, one in found if one.any()]
        total = sum(chance for chance, _ in pairs)
        return sum(chance * left for chance, left in pairs) / total if total else np.nan

    def own(self, task: int) -> list[float]:
        """The posterior of a task along its own answer."""
        answer = self.written[task]
        return [float(self.posteriors[answer[:t]][task]) for t in range(len(answer))]


def tree(writer: Any, case: Case) -> Tree:
    """Ask a writer about every prefix that some task says; of a whole answer nothing is asked.
    Raises ValueError where one task's answer is how another's begins: where would it end?"""
    written = writer.written(case)
    prefixes = list(dict.fromkeys(one[:t] for one in written for t in range(len(one))))
    for prefix in prefixes:
        if prefix in written:
            raise ValueError(
                f"query {' '.join(case.query)}: the answer {prefix} of one task is how another's "
                "begins; collapse needs answers that end apart, as by a newline"
            )
    said = dict(zip(prefixes, writer.ask(case, [np.array(p, int) for p in prefixes]), strict=True))
    chances: dict[Prefix, float] = {(): 1.0}
    for prefix in sorted({*prefixes, *written}, key=len)[1:]:
        before = prefix[:-1]
        chances[prefix] = chances[before] * float(said[before].distribution[prefix[-1]])
    posteriors = {prefix: one.posterior for prefix, one in said.items()}
    for answer in written:
        posteriors[answer] = np.array([float(one == answer) for one in written])
    return Tree(written, chances, posteriors)


def tasks_left(posterior: Float[np.ndarray, "K"]) -> float:
    """exp of the entropy of a posterior; NaN where no task is left."""
    total = posterior.sum()
    if not total > 0:
        return float("nan")
    held = np.maximum(posterior / total, 0)
    logs = np.log(held, out=np.zeros_like(held), where=held > 0)
    return float(np.exp(-(held * logs).sum()))


def find(material: Material) -> Finding:
    """By decoding, tasks left before each word and the mean posterior; by prompt and task, the
    answer's probability and the posterior along it."""
    writer: Any = material.subject
    cases = material.evenly
    trees = [tree(writer, case) for case in cases]
    steps, shares = max(one.steps for one in trees), cases[0].share(material.tasks.K)
    found = {
        "sample": {
            "left": [_interval([one.left(t) for one in trees]) for t in range(steps)],
            "posterior": [
                np.mean([one.mean(t) for one in trees], 0).tolist() for t in range(steps)
            ],
        }
    }
    followed = {}
    for how in ("greedy", "superposed") if writer.soft else ("greedy",):
        followed[how] = np.stack(
            [paths(writer, case, how, steps=steps).posteriors[0] for case in cases]
        )
        found[how] = _followed(followed[how])
    values = {
        "tasks": [material.tasks.names[i] for i in material.tasks.mixed],
        "prompts": len(cases),
        "shares": shares.tolist(),
        "decodings": found,
        "other": _interval([1 - one.mean(0).sum() for one in trees]),
        "answers": [
            [{"p": float(one.posteriors[()][i]), "own": one.own(i)} for i in material.tasks.mixed]
            for one in trees[:DRAWN]
        ],
    }
    return Finding(values, _claims(material, trees, followed))


def _interval(values: list[float]) -> list[float] | None:
    """The mean of those prompts that have a value, with its interval; None where none has."""
    there = [value for value in values if np.isfinite(value)]
    return interval(np.array(there)) if there else None


def _followed(posteriors: Float[np.ndarray, "P steps K"]) -> dict:
    """Tasks left and the mean posterior of one answer a prompt; an ended one counts no longer."""
    steps = range(posteriors.shape[1])
    there = [posteriors[~np.isnan(posteriors[:, t]).any(-1), t] for t in steps]
    return {
        "left": [_interval([tasks_left(one) for one in rows]) for rows in there],
        "posterior": [rows.mean(0).tolist() if len(rows) else None for rows in there],
    }


def _claims(material: Material, trees: list[Tree], followed: dict) -> list[Claim]:
    subject: Any = material.subject
    bound = getattr(subject, "error_bound", None)
    if bound is None:
        return []
    law = Law(subject, len(material.tasks.family.vocabulary))
    due = [tree(law, case) for case in material.evenly]
    shares = np.array([case.share(material.tasks.K) for case in material.evenly])
    claims = []
    for t in range(max(one.steps for one in due)):
        off = max(
            float(np.abs(one.posteriors[prefix] - wanted.posteriors[prefix]).max())
            for one, wanted in zip(trees, due, strict=True)
            for prefix in wanted.posteriors
            if len(prefix) == t and prefix not in wanted.written
        )
        claims.append(Claim(f"posterior before word {t + 1}, off by", off, 0.0, bound))
        # One prefix a task, of t words and a posterior, each at most 1 and off by the bound.
        mean = max(
            float(np.abs(one.mean(t) - share).max())
            for one, share in zip(trees, shares, strict=True)
        )
        claims.append(
            Claim(f"mean over samples before word {t + 1}, off by", mean, 0.0, (t + 1) * bound)
        )
        soft = float(np.abs(followed["superposed"][:, t] - shares).max())
        claims.append(Claim(f"superposed before word {t + 1}, off the shares by", soft, 0.0, bound))
    return claims


def draw(axis: Any, values: dict) -> None:
    """The posterior of a task along its own answer: thin lines by prompt, as thick as the answer is
    likely, markers their mean by likelihood."""
    from verify import plots

    for i, name in enumerate(values["tasks"]):
        color = plots.PALETTE[i % len(plots.PALETTE)]
        ones = [answers[i] for answers in values["answers"]]
        mean = []
        for one in ones:
            steps = range(len(one["own"]))
            axis.plot(steps, one["own"], color=color, alpha=0.3, linewidth=0.3 + 4 * one["p"])
        for t in range(max(len(one["own"]) for one in ones)):
            there = [one for one in ones if t < len(one["own"])]
            weights = [one["p"] + 1e-12 for one in there]
            mean.append(np.average([one["own"][t] for one in there], weights=weights))
        marker = plots.MARKERS[i % len(plots.MARKERS)]
        axis.plot(range(len(mean)), mean, color=color, marker=marker, ms=5, label=name)
    left = values["decodings"]["sample"]["left"]
    told = ", ".join("-" if one is None else f"{one[0]:.2f}" for one in left)
    axis.set_xticks(range(len(left)))
    axis.set_xlabel(f"words said (tasks left: {told})")
    axis.set_ylabel("posterior of the answer's task")
    axis.set_ylim(-0.03, 1.06)
    axis.legend(frameon=False, fontsize=6, loc="lower right")
