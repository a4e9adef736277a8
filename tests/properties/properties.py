"""What every theorem says of an answer, as functions of a subject and of whom to ask.

Whom to ask is an argument, so that a test can ask a transformer with a wrong weight.
"""

from collections.abc import Callable

import numpy as np

from construct import Answer, Prompt
from tests.properties.strategies import Subject, half, one, two
from verify.check import answer_error
from verify.oracle import ABSTAINED

Ask = Callable[[Prompt], Answer]


def bound(subject: Subject) -> float:
    """How far an answer may be from the superposition: the theorem's proved bound.

    It holds for the padded program too, which sums in other blocks (`test_padded.py`).
    """
    return subject.theorem.proof.error_bound(subject.spec)


def rearranged(prompt: Prompt, order: np.ndarray) -> Prompt:
    """The prompt with its examples taken in another order, some more often than once, some not at
    all."""
    return Prompt(inputs=prompt.inputs[order], labels=prompt.labels[order], query=prompt.query)


def same(subject: Subject, before: Answer, after: Answer) -> None:
    """Both are within the bound of one superposition, so they are within twice the bound of each
    other."""
    assert answer_error(after.vector, before.vector.astype(float)) <= 2 * bound(subject)


def superposition(subject: Subject, ask: Ask) -> None:
    """The answer is sum_i (m_i/M) g_i(X) up to the proved bound, and each example is recognized as
    the oracle's."""
    (prompt,) = subject.prompts
    answer, verdict = ask(prompt), subject.verdict(prompt)
    assert (answer.recognized == verdict.recognized).all()
    assert (answer.counts == verdict.counts).all()
    assert (answer.prevalence == verdict.prevalence).all()
    assert answer_error(answer.vector, verdict.prevalence @ verdict.outputs) <= bound(subject)


def order(subject: Subject, ask: Ask) -> None:
    """The order of the examples does not matter."""
    (prompt,) = subject.prompts
    permutation = np.random.default_rng(subject.seed).permutation(prompt.examples)
    before, after = ask(prompt), ask(rearranged(prompt, permutation))
    assert (after.recognized == before.recognized[permutation]).all()
    same(subject, before, after)


def copies(subject: Subject, ask: Ask) -> None:
    """Two and more copies of all examples change nothing: prevalence counts, and not numbers."""
    (prompt,) = subject.prompts
    times = subject.spec.m // prompt.examples
    before = ask(prompt)
    after = ask(rearranged(prompt, np.tile(np.arange(prompt.examples), times)))
    assert (after.counts == times * before.counts).all()
    assert np.allclose(after.prevalence, before.prevalence, rtol=1e-15)
    same(subject, before, after)


def abstention(subject: Subject, ask: Ask) -> None:
    """Noise and ambiguous examples weigh nothing: without them the answer is the same."""
    (prompt,) = subject.prompts
    before = ask(prompt)
    kept = np.flatnonzero(subject.verdict(prompt).recognized != ABSTAINED)
    if len(kept):
        after = ask(rearranged(prompt, kept))
        assert after.evidence == before.evidence == len(kept)
        same(subject, before, after)


def mixture(subject: Subject, ask: Ask) -> None:
    """Of two prompts with one query, the answer to both together is linear in their evidence."""
    first, second = subject.prompts
    second = Prompt(inputs=second.inputs, labels=second.labels, query=first.query)
    together = Prompt(
        inputs=np.concatenate([first.inputs, second.inputs]),
        labels=np.concatenate([first.labels, second.labels]),
        query=first.query,
    )
    a, b, both = ask(first), ask(second), ask(together)
    assert both.evidence == a.evidence + b.evidence
    mixed = a.evidence * a.vector.astype(float) + b.evidence * b.vector.astype(float)
    # The mean of two vectors that are each within the bound is within it.
    assert answer_error(both.vector, mixed / max(both.evidence, 1)) <= 2 * bound(subject)


def nothing(subject: Subject, ask: Ask) -> None:
    """Without evidence the answer is 0 to the last bit. (In a family of tasks that are apart, a
    label of norm R is noise.)"""
    (prompt,) = subject.prompts
    spec = subject.spec
    labels = np.random.default_rng(subject.seed).normal(size=prompt.labels.shape)
    labels *= spec.radius / np.linalg.norm(labels, axis=-1, keepdims=True)
    answer = ask(Prompt(inputs=prompt.inputs, labels=labels, query=prompt.query))
    assert (answer.recognized == ABSTAINED).all()
    assert answer.message == "no evidence"
    assert not answer.vector.any() and not answer.prevalence.any()


def unread(subject: Subject, ask: Ask) -> None:
    """What stands in slots that no task reads does not matter, to the last bit: the softmax is
    hard."""
    (prompt,) = subject.prompts
    spec = subject.spec
    slots = {task.slot for task in subject.tasks}
    blank = {spec.n - 2} if spec.sum_slot else set()
    if blank & slots:  # the sum is read, and with it every slot
        return
    others = sorted(set(range(spec.n - 1)) - slots - blank)
    inputs, query = prompt.inputs.copy(), prompt.query.copy()
    inputs[:, others] = -np.roll(inputs[:, others], 1, axis=0)
    query[others] *= -1
    before = ask(prompt)
    after = ask(Prompt(inputs=inputs, labels=prompt.labels, query=query))
    assert (after.recognized == before.recognized).all()
    assert (after.vector == before.vector).all()


# By property, which prompts it is asked of. Without evidence Theorem 3's answer is 0 up to its
# bound, which is `superposition`.
PROPERTIES = {
    superposition: one,
    order: one,
    copies: half,
    abstention: one,
    mixture: two,
    nothing: one,
    unread: one,
}
