"""What is read off Theorem 2's transformer, and how it is decoded: an example with two explanations is refused."""

import numpy as np
from jaxtyping import Array

from construct import checks
from construct.answer import ABSTAINED, Answer
from construct.prompt import Prompt
from construct.reading import Parts, Readings, check_decided, check_output_norms, own_recognition
from construct.residual import Residual
from construct.spec import Spec
from construct.theorem2.gains import Gains
from construct.transformer import Layer


def observe(layer: Layer, before: Array, after: Array, slots: Array, residual: Residual, examples: int) -> dict[str, Array]:
    """Recognize's gaps and output norms."""
    return own_recognition(layer, before, slots, residual, examples) if layer.name == "recognize" else {}


def decode(gains: Gains, spec: Spec, prompt: Prompt, name: str, readings: Readings, enforce: bool) -> Answer:
    """Theorem 2's answer: a task explains an example iff its head scores the example's input above BOS."""
    examples = prompt.examples
    gap = readings.gap[:, :examples]
    if enforce:
        check_output_norms(spec, examples, name, readings.output_norm, gains.residual)
        check_decided(spec, name, gap, gains)
        _check_unambiguous(name, gap > 0)
    explaining = (gap > 0).sum(0)
    recognized = np.where(explaining == 1, gap.argmax(0), ABSTAINED)
    counts = np.bincount(recognized[recognized != ABSTAINED], minlength=spec.K)
    return Answer(vector=readings.vector, recognized=recognized, counts=counts)


def _check_unambiguous(name: str, explains: np.ndarray) -> None:
    twice = np.flatnonzero(explains.sum(0) > 1)
    if twice.size:
        example = int(twice[0])
        tasks = ", ".join(str(int(i)) for i in np.flatnonzero(explains[:, example])[:8])
        raise checks.refuse(
            f"{name} example {example}",
            f"explained by tasks {tasks}",
            "must have at most one explanation (Theorem 2)",
            "drop it, or use Theorem 1, which abstains on it",
        )


THEOREM2 = Parts(observe, decode)
