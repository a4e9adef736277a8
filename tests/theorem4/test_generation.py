"""Whole answers: sampled, greedy and superposed, step by step as the definition has them."""

import numpy as np
import pytest

from construct.theorem4 import build, spec_of
from construct.words import BLANK, WordPrompt, WordTask, ended
from proofs.theorem4 import error_bound
from verify.theorem4.definition import judge
from verify.theorem4.law import chi_square, law

D, L, M, END = 6, 3, 10, 5


def constant(*words):
    """A task that says these words, whatever it is asked."""
    return WordTask(0, np.repeat(np.array(words)[:, None], D, axis=1))


# Tasks 0 and 1 share their first word, tasks 0 and 2 their other two.
TASKS = [constant(0, 1, 2), constant(0, 3, 4), constant(5, 1, 2)]
SPEC = spec_of(TASKS, m=M)
MODEL = build(SPEC, TASKS)
BOUND = error_bound(SPEC)


def prompt_of(counts, tasks=TASKS, query=3):
    """So many examples of each task, in front of a query."""
    answers = [task.words[:, 1] for task, count in zip(tasks, counts, strict=True)] * 1
    rows = [row for row, count in zip(answers, counts, strict=True) for _ in range(count)]
    return WordPrompt(np.ones((len(rows), 1), int), np.array(rows), np.array([query]))


PROMPT = prompt_of((5, 3, 2))


def test_next_says_what_the_definition_does():
    for prefix, posterior in (
        ((), (0.5, 0.3, 0.2)),
        ((0,), (5 / 8, 3 / 8, 0)),
        ((0, 3), (0, 1, 0)),
        ((5,), (0, 0, 1)),
        ((4,), (0, 0, 0)),
    ):
        answer = MODEL.next(PROMPT, prefix)
        np.testing.assert_allclose(answer.posterior, posterior, atol=BOUND)
        due = judge(TASKS, PROMPT.after(prefix), M).vector
        np.testing.assert_allclose(answer.vector, due, atol=BOUND)
    assert answer.recognized.tolist() == [0] * 5 + [1] * 3 + [2] * 2


def test_a_sampled_answer_is_one_task_s_and_the_ensemble_is_the_mixture():
    generation = MODEL.generate(PROMPT, key=0, samples=1024)
    said = {tuple(words) for words in generation.words.tolist()}
    assert said == {(0, 1, 2), (0, 3, 4), (5, 1, 2)}
    # Within a sample the posterior ends at one task; over samples its mean stays the prior.
    last = generation.posterior[:, -1]
    np.testing.assert_allclose(last.max(1), 1, atol=BOUND)
    error = 4 * np.sqrt(0.25 / 1024)
    for step in range(L):
        np.testing.assert_allclose(
            generation.posterior[:, step].mean(0), (0.5, 0.3, 0.2), atol=error
        )
    due = {(0, 1, 2): 0.5, (0, 3, 4): 0.3, (5, 1, 2): 0.2}
    expected = [due[tuple(words)] for words in generation.words.tolist()]
    np.testing.assert_allclose(generation.probability, expected, atol=L * BOUND)
    _, freedom, chance = chi_square(MODEL, PROMPT, judge(TASKS, PROMPT, M), 1024, 0)
    assert freedom == 2 and chance > 1e-4


def test_a_wrong_distribution_fails_the_chi_square_test():
    other = judge(TASKS, prompt_of((2, 3, 5)), M)
    assert chi_square(MODEL, PROMPT, other, 1024, 0)[2] < 1e-4
    # An answer that no task gives is enough.
    missing = judge(TASKS, prompt_of((0, 3, 2)), M)
    assert chi_square(MODEL, PROMPT, missing, 1024, 0)[2] == 0


def test_greedy_decoding_follows_the_likeliest_word():
    generation = MODEL.generate(PROMPT, how="greedy")
    assert generation.words.tolist() == [[0, 1, 2]]
    np.testing.assert_allclose(generation.probabilities[0], (0.8, 0.625, 1), atol=BOUND)
    np.testing.assert_allclose(generation.posterior[0, 1], (5 / 8, 3 / 8, 0), atol=BOUND)


def test_superposed_decoding_does_not_collapse():
    generation = MODEL.generate(PROMPT, how="superposed")
    np.testing.assert_allclose(
        generation.posterior[0], np.tile((0.5, 0.3, 0.2), (L, 1)), atol=BOUND
    )
    assert generation.words is None and generation.probabilities is None
    for ask in (lambda: generation.probability, generation.answers):
        with pytest.raises(ValueError, match="'superposed'"):
            ask()


def test_a_soft_word_that_is_cut_conditions_on_the_words_kept():
    first = MODEL.next(PROMPT).vector
    cut = np.where(first > 0.5, first, 0)
    np.testing.assert_allclose(MODEL.next(PROMPT, [cut]).posterior, (5 / 8, 3 / 8, 0), atol=BOUND)


def test_the_cache_says_what_the_dense_evaluator_does():
    generation = MODEL.generate(PROMPT, how="greedy")
    for t in range(L):
        answer = MODEL.next(PROMPT, generation.words[0, :t])
        np.testing.assert_allclose(generation.posterior[0, t], answer.posterior, atol=2 * BOUND)
        np.testing.assert_allclose(generation.distributions[0, t], answer.vector, atol=2 * BOUND)
    assert (generation.recognized == answer.recognized).all()
    np.testing.assert_allclose(generation.prevalence, (0.5, 0.3, 0.2))


def test_a_batch_answers_as_its_prompts_do():
    prompts = [PROMPT, prompt_of((1, 2, 5)), prompt_of((0, 4, 0))]
    together = MODEL.generate(prompts, how="greedy")
    for prompt, one in zip(prompts, together, strict=True):
        alone = MODEL.generate(prompt, how="greedy")
        assert (one.words == alone.words).all()
        np.testing.assert_allclose(one.posterior, alone.posterior, atol=2 * BOUND)
    assert MODEL.generate([], how="greedy") == []


def test_a_key_decides_the_answers():
    one, same, other = (MODEL.generate(PROMPT, key=key, samples=1024).words for key in (7, 7, 8))
    assert (one == same).all() and (one != other).any()


def test_fewer_steps_are_the_first_of_more():
    one = MODEL.generate(PROMPT, steps=2, how="greedy")
    assert one.words.tolist() == [[0, 1]] and one.posterior.shape == (1, 2, 3)


def test_answers_of_unequal_length_end():
    rows = ended([[0], [0, 1], [2, 3, 4]], L, END)
    tasks = [constant(*row) for row in rows]
    model = build(spec_of(tasks, m=M), tasks)
    prompt = prompt_of((2, 2, 4), tasks)
    generation = model.generate(prompt, key=1, samples=1024)
    found = {tuple(answer) for answer in generation.answers(END)}
    assert found == {(0,), (0, 1), (2, 3, 4)}
    posterior = model.next(prompt, (0, END)).posterior
    np.testing.assert_allclose(posterior, (1, 0, 0), atol=BOUND)
    with pytest.raises(ValueError, match="without the end-of-answer word"):
        ended([[0, END]], L, END)
    with pytest.raises(ValueError, match="at most L = 3"):
        ended([[0, 1, 2, 3]], L, END)


def test_a_task_that_says_nothing_ends_its_answer_and_drops_out_of_a_mixture():
    tasks = [constant(0, 1, 2), constant(0, BLANK, 4), constant(5, 1, 2)]
    model = build(spec_of(tasks, m=M), tasks)
    # A task that says nothing in some place explains no example of L words, where it says nothing.
    words = tasks[1].words.copy()
    words[:, 1] = (0, 3, 4)
    tasks[1] = WordTask(0, words)
    model = build(spec_of(tasks, m=M), tasks)
    prompt = prompt_of((5, 3, 2), tasks)
    generation = model.generate(prompt, key=3, samples=1024)
    found = {tuple(answer) for answer in generation.answers()}
    assert found == {(0, 1, 2), (0,), (5, 1, 2)}
    short = np.array([len(answer) == 1 for answer in generation.answers()])
    assert abs(short.mean() - 0.3) < 4 * np.sqrt(0.21 / 1024)
    assert (generation.words[short][:, 1:] == BLANK).all()
    np.testing.assert_allclose(generation.probability[short], 0.3, atol=L * BOUND)
    superposed = model.generate(prompt, how="superposed")
    np.testing.assert_allclose(superposed.posterior[0, 1], (0.5, 0.3, 0.2), atol=BOUND)
    np.testing.assert_allclose(superposed.posterior[0, 2], (5 / 7, 0, 2 / 7), atol=BOUND)
    found = law(model, tasks, prompt)
    assert found.variation <= L / 2 * BOUND + 1e-6 and found.soft_error <= BOUND


def test_without_evidence_nothing_is_said():
    noise = WordPrompt([[1], [1]], [[1, 1, 1], [2, 2, 2]], [0])
    generation = MODEL.generate(noise, key=0, samples=2)
    assert (generation.words == BLANK).all() and not generation.posterior.any()
    assert generation.answers() == [[], []]
    assert MODEL.next(noise).message == "no evidence"


def test_a_prefix_that_no_task_says_is_answered_by_nothing_or_by_the_prior():
    spec = spec_of(TASKS, m=M, fallback=True)
    model = build(spec, TASKS)
    assert not MODEL.next(PROMPT, (4,)).vector.any()
    np.testing.assert_allclose(model.next(PROMPT, (4,)).posterior, (0.5, 0.3, 0.2), atol=BOUND)
    np.testing.assert_allclose(model.next(PROMPT, (0,)).posterior, (5 / 8, 3 / 8, 0), atol=BOUND)
    noise = WordPrompt([[1], [1]], [[1, 1, 1], [2, 2, 2]], [0])
    assert not model.next(noise, (4,)).vector.any()


def test_an_ambiguous_example_is_left_out():
    twins = [constant(0, 1, 2), constant(0, 1, 2)]
    words = twins[1].words.copy()
    words[2, 0] = 4  # they part at the last word, about word 0 alone
    tasks = [twins[0], WordTask(0, words), constant(5, 1, 2)]
    model = build(spec_of(tasks, m=M), tasks)
    prompt = WordPrompt([[1], [0], [0], [0]], [[0, 1, 2], [0, 1, 4], [0, 1, 2], [0, 1, 2]], [0])
    answer = model.next(prompt)
    assert answer.recognized.tolist() == [-1, 1, 0, 0]
    np.testing.assert_allclose(answer.posterior, (2 / 3, 1 / 3, 0), atol=BOUND)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"steps": 4, "key": 0}, "steps = 4: must be at most L = 3"),
        ({"steps": 0, "key": 0}, "steps = 0"),
        ({}, "key = None: sampling needs"),
        ({"how": "beam", "key": 0}, "how = 'beam': must be one of sample, greedy, superposed"),
        ({"how": "greedy", "samples": 2}, "gives one answer"),
        ({"key": 0, "samples": 0}, "samples = 0"),
        ({"key": -1}, "key = -1"),
    ],
)
def test_requests_that_make_no_sense_are_refused(request_, reason):
    with pytest.raises(ValueError, match=reason):
        MODEL.generate(PROMPT, **request_)


def test_a_prompt_with_a_prefix_is_not_generated_from():
    with pytest.raises(ValueError, match="generated from its first word on"):
        MODEL.generate(PROMPT.after((0,)), how="greedy")
