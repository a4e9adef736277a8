"""Verify a transformer on prompts: structure, lemmas and answers, gathered into one report."""

import time
from collections.abc import Sequence

import jax

from construct import Trace, Transformer
from construct.layout import AnyPrompt
from verify.check import answer_error, check_lemmas, check_structure, worst
from verify.cli import progress
from verify.record import Drawn, Theorem
from verify.report import Report


def verify(
    theorem: Theorem,
    instance: Drawn,
    prompts: Sequence[AnyPrompt],
    *,
    model: Transformer | None = None,
    seed: int = 0,
    noise: int = 0,
    ambiguous: int = 0,
    started: float | None = None,
) -> Report:
    """Check a model (default: built from the instance) on the prompts. seed, noise, ambiguous: as
    they were asked for.

    Answers and lemmas come from one trace of every prompt, so that the layers are compiled once.
    Raises ValueError on prompts outside the hypotheses.
    """
    started = time.perf_counter() if started is None else started
    spec, tasks, feature_map = instance.spec, instance.tasks, instance.feature_map
    model = theorem.build(spec, tasks, feature_map) if model is None else model
    wrong = check_structure(theorem, model, spec)
    weight_faults = None
    if theorem.check_weights is not None:
        weight_faults = theorem.check_weights(model, tasks, feature_map)
    # The oracle refuses prompts outside the hypotheses; what the model refuses after that is the
    # model's fault.
    verdicts = [theorem.judge(spec, tasks, prompt, feature_map) for prompt in prompts]
    answers, by_prompt = [], []
    for i, prompt in enumerate(progress(prompts, len(prompts), _title(prompts))):
        trace, refusal = _trace(model, prompt)
        if refusal is not None:
            wrong.append(f"the model refuses prompt {i}, which is within the hypotheses: {refusal}")
        if (trace.answer.recognized != verdicts[i].recognized).any():
            wrong.append(f"prompt {i}: recognized other tasks than the definition does")
        answers.append(trace.answer)
        by_prompt.append(check_lemmas(theorem, model, tasks, prompt, feature_map, trace=trace))
    bounded = [
        (
            answer_error(answer.vector, verdict.vector),
            theorem.proof.error_bound(spec, prompt, tasks=tasks, feature_map=feature_map),
        )
        for answer, verdict, prompt in zip(answers, verdicts, prompts, strict=True)
    ]
    # Of the prompt that comes nearest to its bound; NaN comes nearest of all.
    error, bound = max(bounded, key=lambda pair: (not pair[0] <= pair[1], pair[0] / pair[1]))
    return Report(
        theorem=theorem,
        model=model,
        spec=spec,
        gains=theorem.derive(spec),
        wrong=wrong,
        weight_faults=weight_faults,
        heads=[layer.heads for layer in model.layers],
        embedding_dim=model.residual.dim,
        embedding_bound=theorem.width_bound(spec),
        lemmas=[worst(lemmas) for lemmas in zip(*by_prompt, strict=True)],
        max_error=error,
        error_bound=bound,
        prompts=len(prompts),
        seconds=time.perf_counter() - started,
        device=f"{jax.devices()[0].platform} ({jax.devices()[0].device_kind})",
        seed=seed,
        noise=noise,
        ambiguous=ambiguous,
        answer=answers[0],
        verdict=verdicts[0],
    )


def _title(prompts: Sequence[AnyPrompt]) -> str:
    count = len(prompts)
    return f"checking {count} {'prompt' if count == 1 else 'prompts'}"


def _trace(model: Transformer, prompt: AnyPrompt) -> tuple[Trace, ValueError | None]:
    """A prompt's trace, and the model's reason if it would refuse to answer it."""
    try:
        return model.trace(prompt, attention=False), None
    except ValueError as refusal:
        return model.trace(prompt, attention=False, enforce=False), refusal
