"""Instances, prompts and models that the tests of the restricted evaluator share; models are built
once."""

from functools import cache

import numpy as np

from construct import Prompt, Transformer, theorem1, theorem2, theorem3
from construct.answer import Answer
from construct.evaluate import reference
from verify.draw import Instance, draw_instance, draw_prompt

LAYERS = {
    1: ["pair", "recognize", "commit", "fetch", "execute", "superpose"],
    2: ["pair", "recognize", "superpose"],
    3: ["recognize", "tally", "balance", "open", "correct"],
}


@cache
def drawn(theorem: int, seed: int, **shape: object) -> tuple[Instance, Prompt]:
    """An instance that the theorem can perform, and a prompt of full length with noise (and
    ambiguity, where it may be)."""
    rng = np.random.default_rng(seed)
    instance = draw_instance(rng, **shape, sphere=theorem == 3)
    several = 0 if theorem == 2 or instance.spec.K == 1 else 1
    return instance, draw_prompt(rng, instance, noise=1, ambiguous=several)


_models: dict[tuple[int, int], Transformer] = {}


def model_of(theorem: int, instance: Instance) -> Transformer:
    """The theorem's transformer for an instance; the same object every time, so that it compiles
    once."""
    key = (theorem, id(instance))
    if key not in _models:
        parts = (instance.spec, instance.tasks)
        built = {1: theorem1.build, 2: theorem2.build, 3: theorem3.build}[theorem]
        _models[key] = built(*parts) if theorem == 3 else built(*parts, instance.feature_map)
    return _models[key]


def reference_answer(model: Transformer, prompt: Prompt) -> Answer:
    """The reference evaluator's answer, checked as a call's. Raises ValueError where a hypothesis
    fails."""
    readings = reference.read_prompt(model, prompt)
    recognized = model.readout.decode(
        model, prompt.labels, "prompt", readings, enforce=True, first=0
    )
    return Answer(readings.vector, recognized, model.spec.K, "reference")
