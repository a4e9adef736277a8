"""Every place of a prompt is a prediction of its next word from the examples before it: the loss
along the context, of a model and of the definition."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from construct.generator import Generator
from construct.words import WordPrompt, WordTask
from verify.ideal import ideal_streams
from verify.theorem4 import THEOREM4
from verify.theorem4.definition import judge


@dataclass(frozen=True)
class Losses:
    """By example and place, -log of the probability of the word that stands there, in nats: of the
    model, and the least that any predictor can reach that knows the tasks and this prior, the
    definition's. Infinite where a word was given no weight."""

    model: Float[np.ndarray, "m L"]
    optimal: Float[np.ndarray, "m L"]


def predictions(model: Generator, prompt: WordPrompt) -> Float[np.ndarray, "m L d"]:
    """By example and place, the distribution of the word that stands there, given all before it."""
    spec = model.spec
    y = model.trace(prompt, attention=False).read("posterior", "y").astype(float)
    lines = y[1 : 1 + prompt.examples * spec.n].reshape(prompt.examples, spec.n, -1)
    S = spec.n - 1 - spec.L
    return lines[:, S : S + spec.L]


def optimal(
    model: Generator, tasks: Sequence[WordTask], prompt: WordPrompt
) -> Float[np.ndarray, "m L d"]:
    """The same, by the definition: the posterior given the examples before, and the words so
    far."""
    spec = model.spec
    verdict = judge(tasks, prompt, spec.m, spec.fallback)
    *_, last = ideal_streams(THEOREM4, spec, tasks, prompt, verdict)  # pyright: ignore
    lines = last["y"][1 : 1 + prompt.examples * spec.n].reshape(prompt.examples, spec.n, -1)
    S = spec.n - 1 - spec.L
    return np.asarray(lines[:, S : S + spec.L], float)


def context_errors(
    model: Generator, tasks: Sequence[WordTask], prompt: WordPrompt
) -> Float[np.ndarray, "m L"]:
    """How far each prediction is from the definition's, summed over words."""
    return np.abs(predictions(model, prompt) - optimal(model, tasks, prompt)).sum(-1)


def losses(model: Generator, tasks: Sequence[WordTask], prompt: WordPrompt) -> Losses:
    """The loss along the context, of the model and of the definition."""
    at = np.where(prompt.answers < 0, 0, prompt.answers)[..., None]
    found = []
    for said in (predictions(model, prompt), optimal(model, tasks, prompt)):
        chance = np.take_along_axis(said, at, axis=2)[..., 0]
        with np.errstate(divide="ignore"):
            found.append(np.where(prompt.answers < 0, 0.0, -np.log(chance)))
    return Losses(*found)
