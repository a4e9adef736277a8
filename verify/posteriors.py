"""The posterior over tasks along a generated answer, of any model: sampled, greedy and superposed.

A `Subject` is a model under study. It is asked for the next word after a prefix, and answers with a
distribution over the words and a posterior over the tasks; what it is inside does not matter.
`Transformer4` asks Theorem 4's, `Definition` says what is due.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from construct.generator import DECODINGS, Generator
from construct.words import WordPrompt, WordTask, one_hot
from verify.theorem4.definition import judge
from verify.theorem4.law import next_words

# A word that is drawn, or what is left of 1 if that is more than this: nothing is said.
ROUNDING = 1e-3


@dataclass(frozen=True)
class Said:
    """What a subject says after a prefix: the distribution of the next word (d,) and the posterior
    over tasks (K,); either may sum to less than 1."""

    distribution: Float[np.ndarray, "d"]
    posterior: Float[np.ndarray, "K"]


@runtime_checkable
class Subject(Protocol):
    """A model under study. name: as a figure calls it. soft: whether it can be fed a mixture of
    words."""

    @property
    def name(self) -> str: ...

    @property
    def soft(self) -> bool: ...

    def ask(self, prompt: Any, prefixes: Sequence[np.ndarray]) -> list[Said]:
        """What it says after each prefix: words (t,), or where it is `soft` weights of words (t,
        d). prompt: of a kind that it knows."""
        ...


@dataclass(frozen=True)
class Transformer4:
    """Theorem 4's transformer as a subject."""

    model: Generator
    name: str = "Theorem 4"
    soft: bool = True

    def ask(self, prompt: WordPrompt, prefixes: Sequence[np.ndarray]) -> list[Said]:
        """What it says after each prefix."""
        found = next_words(self.model, [prompt.after(prefix) for prefix in prefixes])
        return [Said(*one) for one in found]


@dataclass(frozen=True)
class Definition:
    """What the definition says, as a subject."""

    tasks: Sequence[WordTask]
    m: int
    name: str = "definition"
    soft: bool = True

    def ask(self, prompt: WordPrompt, prefixes: Sequence[np.ndarray]) -> list[Said]:
        """What it says after each prefix."""
        verdicts = [judge(self.tasks, prompt.after(prefix), self.m) for prefix in prefixes]
        return [Said(verdict.vector, verdict.prevalence) for verdict in verdicts]


@dataclass(frozen=True)
class Paths:
    """A subject's answers under one decoding. posteriors (answers, steps, K): before each word, NaN
    after an answer has ended. words (answers, steps): -1 where nothing is said, None if every word
    is a mixture."""

    subject: str
    how: str
    posteriors: Float[np.ndarray, "answers steps K"]
    words: Int[np.ndarray, "answers steps"] | None

    @property
    def ensemble(self) -> Float[np.ndarray, "steps K"]:
        """The mean posterior over the answers that go on."""
        return np.nanmean(self.posteriors, axis=0)

    @property
    def tasks_left(self) -> Float[np.ndarray, "steps"]:
        """How many tasks an answer could still be of: exp of its posterior's entropy, the mean over
        answers. 1 is a collapse."""
        held = self.posteriors / np.maximum(self.posteriors.sum(-1, keepdims=True), 1e-300)
        with np.errstate(divide="ignore", invalid="ignore"):
            surprise = np.where(held > 0, -held * np.log(held), 0.0)
        entropy = np.where(np.isnan(held).any(-1), np.nan, surprise.sum(-1))
        return np.nanmean(np.exp(entropy), axis=0)


def paths(
    subject: Subject,
    prompt: Any,
    how: str,
    *,
    samples: int = 1,
    seed: int = 0,
    steps: int | None = None,
) -> Paths:
    """Generate answers of so many words by a subject (None: as many as those of the prompt's
    examples): so many samples, or one.

    Every prefix is asked about once. Raises ValueError for a decoding that the subject does not
    have."""
    if how not in DECODINGS or (how == "superposed" and not subject.soft):
        raise ValueError(
            f"how = {how!r}: {subject.name} has no such decoding; use one of "
            f"{', '.join(DECODINGS[: 3 if subject.soft else 2])}"
        )
    steps, rng = steps or int(prompt.answers.shape[1]), np.random.default_rng(seed)
    if how == "superposed":
        return _superposed(subject, prompt, steps)
    answers = [np.zeros(0, int) for _ in range(samples if how == "sample" else 1)]
    posteriors, ended = [], np.zeros(len(answers), bool)
    for _ in range(steps):
        different = {
            tuple(words): None for words, end in zip(answers, ended, strict=True) if not end
        }
        asked = [np.array(words, int) for words in different]
        said = dict(zip(different, subject.ask(prompt, asked) if asked else [], strict=True))
        here = []
        for i, words in enumerate(answers):
            one = said.get(tuple(words))
            word = -1
            if not ended[i] and one is not None:
                here.append(one.posterior)
                word = _word(one.distribution, how, rng)
            else:
                here.append(None)
            ended[i] |= word < 0
            answers[i] = np.append(words, word)
        K = next(
            (len(one) for one in here if one is not None),
            len(posteriors[-1][0]) if posteriors else 0,
        )
        posteriors.append([np.full(K, np.nan) if one is None else one for one in here])
    return Paths(subject.name, how, np.swapaxes(np.array(posteriors), 0, 1), np.array(answers))


def _word(distribution: np.ndarray, how: str, rng: np.random.Generator) -> int:
    """The word that is said; -1 for nothing."""
    nothing = 1 - distribution.sum()
    weights = np.append(np.maximum(distribution, 0), nothing if nothing > ROUNDING else 0)
    if how == "greedy":
        index = int(weights.argmax())
    else:
        index = int(rng.choice(len(weights), p=weights / weights.sum()))
    return index if index < len(distribution) else -1


def _superposed(subject: Subject, prompt: Any, steps: int) -> Paths:
    prefix, posteriors = one_hot(np.zeros(0, int), 0), []
    for t in range(steps):
        (said,) = subject.ask(prompt, [prefix if t else np.zeros(0, int)])
        posteriors.append(said.posterior)
        row = said.distribution[None]
        prefix = np.concatenate([prefix, row]) if t else row
    return Paths(subject.name, "superposed", np.array(posteriors)[None], None)
