"""The errors of a theorem's answers against the oracle."""

from collections.abc import Sequence

from construct import Prompt
from verify.check import answer_error
from verify.draw import Instance
from verify.record import Theorem


def errors(theorem: Theorem, instance: Instance, prompts: Sequence[Prompt]) -> list[float]:
    """How far the answer to each prompt is from the superposition, in max norm."""
    spec = instance.spec
    answers = theorem.build(spec, instance.tasks, instance.feature_map)(list(prompts))
    verdicts = [theorem.judge(spec, instance.tasks, p, instance.feature_map) for p in prompts]
    return [
        answer_error(answer.vector, verdict.vector)
        for answer, verdict in zip(answers, verdicts, strict=True)
    ]
