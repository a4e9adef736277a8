"""A run of verify takes its answers from traces: a trace answers as a call does, and what a model
refuses or mistakes is reported."""

from functools import cache

import numpy as np
import pytest
from rich.console import Console

from construct import Prompt, Transformer
from tests.wrong import damaged
from verify.check import answer_error
from verify.theorem import ALL
from verify.verification import verify

THEOREMS = pytest.mark.parametrize("theorem", ALL.values(), ids=str)
LABELED = pytest.mark.parametrize(
    "theorem", [theorem for theorem in ALL.values() if theorem.labeled], ids=str
)


@cache
def drawn(theorem):
    """A small instance, two prompts of one length, and the theorem's transformer."""
    rng = np.random.default_rng(0)
    instance = theorem.draw_instance(rng, K=3, d=4, m=6, n=3, **theorem.drawn)
    prompts = [theorem.draw_prompt(rng, instance, noise=noise) for noise in (1, 2)]
    return instance, prompts, theorem.build(instance.spec, instance.tasks)


@THEOREMS
def test_a_call_and_a_trace_answer_alike(theorem):
    instance, prompts, model = drawn(theorem)
    # Both are within the bound of one superposition.
    allowed = 2 * theorem.proof.error_bound(instance.spec)
    for prompt, answer in zip(prompts, model(prompts), strict=True):
        traced = model.trace(prompt, attention=False).answer
        assert (traced.recognized == answer.recognized).all()
        assert (traced.counts == answer.counts).all() and traced.message == answer.message
        assert answer_error(traced.vector, answer.vector.astype(float)) <= allowed


@LABELED  # words are decided by themselves
def test_a_call_and_a_trace_refuse_alike(theorem):
    instance, prompts, model = drawn(theorem)
    prompt, spec = prompts[0], instance.spec
    example = int(np.flatnonzero(model(prompt).recognized >= 0)[0])
    labels = prompt.labels.copy()
    # Turned off its place by a length between tolerance and margin: whatever task explained it, its
    # residual is undecided.
    labels[example] = turned(labels[example], (spec.tolerance + spec.margin) / 2)
    undecided = Prompt(inputs=prompt.inputs, labels=labels, query=prompt.query)
    reasons = []
    for ask in (model, lambda prompt: model.trace(prompt, attention=False)):
        with pytest.raises(ValueError, match=f"example {example}, .* = a residual of") as refused:
            ask(undecided)
        reasons.append(str(refused.value))
    assert reasons[0] == reasons[1]


def turned(label, distance):
    """A vector of the same norm, at this distance."""
    norm = np.linalg.norm(label)
    aside = np.eye(len(label))[np.abs(label).argmin()]
    aside -= aside @ label / norm**2 * label
    angle = 2 * np.arcsin(distance / (2 * norm))
    return np.cos(angle) * label + np.sin(angle) * norm * aside / np.linalg.norm(aside)


@THEOREMS
def test_a_run_asks_for_traces_alone(theorem, monkeypatch):
    """So that it compiles one program of the layers, and not a second one of the same."""
    instance, prompts, model = drawn(theorem)
    monkeypatch.setattr(Transformer, "__call__", None)
    report = verify(theorem, instance, prompts, model=model)
    assert report.holds and report.prompts == 2 and len(report.lemmas) == len(theorem.layers)


def test_what_the_model_refuses_within_the_hypotheses_is_a_fault(monkeypatch):
    """The oracle has accepted the prompt, so a refusal is reported, and the lemmas are checked all
    the same."""
    instance, prompts, model = drawn(ALL[2])
    trace = Transformer.trace

    def refuse(model, prompt, *, attention, enforce=True):
        if enforce and prompt is prompts[1]:
            raise ValueError("not this one")
        return trace(model, prompt, attention=attention, enforce=enforce)

    monkeypatch.setattr(Transformer, "trace", refuse)
    report = verify(ALL[2], instance, prompts, model=model)
    assert not report.holds and len(report.lemmas) == 3
    assert report.wrong == [
        "the model refuses prompt 1, which is within the hypotheses: not this one"
    ]


def test_another_recognition_than_the_definitions_is_a_fault():
    instance, prompts, _ = drawn(ALL[2])
    other = ALL[2].build(instance.spec, instance.tasks[::-1])
    report = verify(ALL[2], instance, prompts, model=other)
    assert not report.holds
    assert "prompt 0: recognized other tasks than the definition does" in report.wrong


def test_a_wrong_weight_is_told_though_every_prompt_is_answered_right(capsys):
    """One entry of an idle head's W_Q: it moves nothing, and only the check of the weights sees
    it."""
    theorem = ALL[1]
    instance, prompts, model = drawn(theorem)

    def change(W_Q: np.ndarray) -> np.ndarray:
        W_Q[0, 0, 0] = 1
        return W_Q

    wrong = verify(theorem, instance, prompts, model=damaged(model, "lift", "W_Q", change))
    right = verify(theorem, instance, prompts, model=model)
    assert right.holds and right.weight_faults == []
    assert not wrong.holds and not wrong.wrong
    assert all(lemma.holds for lemma in wrong.lemmas) and wrong.max_error <= wrong.error_bound
    (fault,) = wrong.weight_faults
    assert "weights of lift" in fault
    for report, says in ((right, "weights: all"), (wrong, "weights of lift")):
        report.show(Console(width=120))
        assert says in capsys.readouterr().out
