"""Verify a transformer on prompts: structure, lemmas and answers, gathered into one report."""

import time
from collections.abc import Sequence

import jax

from construct import Prompt, Transformer
from verify.check import THEOREM1, answer_error, check_prompt, check_structure, worst
from verify.cli import progress
from verify.draw import Instance
from verify.oracle import judge
from verify.report import Report
from verify.theorem import Theorem


def verify(
    instance: Instance,
    prompts: Sequence[Prompt],
    *,
    model: Transformer | None = None,
    seed: int = 0,
    noise: int = 0,
    ambiguous: int = 0,
    started: float | None = None,
    theorem: Theorem = THEOREM1,
) -> Report:
    """Check a model (default: built from the instance) on the prompts. seed, noise, ambiguous: as
    they were asked for.

    The answers come from one batched call, the lemmas from a trace of every prompt. Raises
    ValueError on prompts outside the hypotheses.
    """
    started = time.perf_counter() if started is None else started
    spec, tasks, feature_map = instance.spec, instance.tasks, instance.feature_map
    model = theorem.build(spec, tasks, feature_map) if model is None else model
    wrong = check_structure(model, spec, theorem)
    # The oracle refuses prompts outside the hypotheses; what the model refuses after that is the
    # model's fault.
    verdicts = [
        judge(tasks, prompt, spec.tolerance, spec.margin, feature_map, spec.sum_slot)
        for prompt in prompts
    ]
    try:
        answers = model(list(prompts))
    except ValueError as error:
        wrong.append(f"the model refuses a prompt within the hypotheses: {error}")
        answers = [model.trace(prompt, attention=False, enforce=False).answer for prompt in prompts]
    for i, (answer, verdict) in enumerate(zip(answers, verdicts, strict=True)):
        if (answer.recognized != verdict.recognized).any():
            wrong.append(f"prompt {i}: recognized other tasks than the definition does")
    by_prompt = [
        check_prompt(model, tasks, prompt, feature_map, theorem=theorem)
        for prompt in progress(prompts, len(prompts), f"checking {len(prompts)} prompts")
    ]
    return Report(
        theorem=theorem,
        model=model,
        spec=spec,
        gains=theorem.derive(spec),
        wrong=wrong,
        heads=[layer.heads for layer in model.layers],
        embedding_dim=model.residual.dim,
        embedding_bound=theorem.width_bound(spec),
        lemmas=[worst(lemmas) for lemmas in zip(*by_prompt, strict=True)],
        max_error=max(
            answer_error(answer.vector, verdict.vector)
            for answer, verdict in zip(answers, verdicts, strict=True)
        ),
        error_bound=theorem.proof.error_bound(spec),
        prompts=len(prompts),
        seconds=time.perf_counter() - started,
        device=f"{jax.devices()[0].platform} ({jax.devices()[0].device_kind})",
        seed=seed,
        noise=noise,
        ambiguous=ambiguous,
        answer=answers[0],
        verdict=verdicts[0],
    )
