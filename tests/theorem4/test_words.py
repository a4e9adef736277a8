"""What words, tasks and prompts are, and what is refused at the edge, by name and with a way
out."""

import numpy as np
import pytest

from construct import Spec, Task, theorem1
from construct.gains import Infeasible
from construct.theorem4 import build, derive, spec_of
from construct.words import WordPrompt, WordTask, check_words
from tests.theorem4.test_generation import MODEL, PROMPT, SPEC, TASKS, D, constant

TABLE = np.zeros((3, D), int)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: WordTask(-1, TABLE), "WordTask.slot = -1"),
        (lambda: WordTask(0, TABLE + 0.5), "must hold words: whole numbers"),
        (lambda: WordTask(0, TABLE[0]), r"must have shape \(L, d\)"),
        (lambda: WordTask(0, TABLE + D), r"WordTask.words\[0, 0\] = 6: must be a word 0..5"),
        (lambda: WordTask(0, TABLE[:0]), "must have L, d >= 1"),
        (lambda: spec_of([], m=3), "tasks = an empty list"),
        (lambda: spec_of([TABLE], m=3), r"tasks\[0\]"),
        (lambda: spec_of([TASKS[0], TASKS[0]], m=3), r"tasks\[1\] = equal to tasks\[0\]"),
        (lambda: spec_of([TASKS[0], WordTask(0, TABLE[:2])], m=3), "words of one shape"),
        (lambda: spec_of([WordTask(3, TABLE)], m=3, S=2), "must be an input slot, 0..1"),
        (lambda: spec_of(TASKS, m=0), "m = 0"),
        (lambda: spec_of(TASKS, m=3, fallback="yes"), "fallback = 'yes'"),
        (lambda: build(SPEC, TASKS[:2]), "spec.K = 3: must be 2"),
        (lambda: build(SPEC, [*TASKS[:2], constant(1, 1)]), "use spec_of"),
        (
            lambda: derive(Spec(K=1, d=2, m=2, n=2, margin=1, radius=1, weight_norm=1)),
            "L \\+ 2 = 3",
        ),
        (lambda: WordPrompt([[0]], [[0, 1]], [0, 1]), "query"),
        (lambda: WordPrompt([[0], [1]], [[0, 1]], [0]), "answers"),
        (lambda: WordPrompt(np.zeros((0, 1), int), np.zeros((0, 3), int), [0]), "needs an example"),
        (lambda: WordPrompt([[0.5]], [[0]], [0]), "whole numbers"),
        (lambda: PROMPT.after([[0.5, 0.6, 0, 0, 0, 0]]), "sum to at most 1"),
        (lambda: PROMPT.after([[1.5, -0.5, 0, 0, 0, 0]]), "at least 0"),
    ],
)
def test_what_makes_no_sense_is_refused(make, reason):
    with pytest.raises(ValueError, match=reason):
        make()


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        (WordPrompt([[6]], [[0, 1, 2]], [0]), r"prompt.inputs\[0, 0\] = 6"),
        (WordPrompt([[0]], [[0, 1, 6]], [0]), r"prompt.answers\[0, 2\] = 6"),
        (WordPrompt([[0]], [[0, 1, 2]], [7]), r"prompt.query\[0\] = 7"),
        (WordPrompt([[0, 0]], [[0, 1, 2]], [0, 0]), "n - 1 - L"),
        (WordPrompt([[0]], [[0, 1]], [0]), r"\(m', L\)"),
        (WordPrompt([[0]] * 11, [[0, 1, 2]] * 11, [0]), "at most m = 10"),
        (PROMPT.after((0, 1, 2)), "the answer is finished"),
        (PROMPT.after((9,)), r"prompt.prefix\[0\] = 9"),
        (PROMPT.after([[1.0, 0.0]]), r"\(t, d\)"),
        (PROMPT.after([[0.95, 0.05, 0, 0, 0, 0]]), "a weight of 0.05: must be 0 or at least 1/m"),
    ],
)
def test_a_prompt_that_does_not_fit_is_refused(prompt, reason):
    for ask in (MODEL, MODEL.trace):
        with pytest.raises(ValueError, match=reason):
            ask(prompt)


def test_what_is_no_prompt_of_words_is_refused():
    with pytest.raises(ValueError, match="prompt = a str: must be a WordPrompt"):
        check_words(SPEC, "a text", "prompt", 1.0)


def test_theorem_1_takes_no_words():
    with pytest.raises(ValueError, match=r"spec.L = 3: is of Theorem 4 alone"):
        theorem1.build(SPEC, [Task(slot=0, weight=np.eye(D))])
    more = Spec(K=3, d=D, m=10, n=5, L=3, margin=1, radius=1, weight_norm=3, sum_slot=True)
    with pytest.raises(ValueError, match="read the inputs themselves"):
        build(more, TASKS)


def test_a_coldness_that_leaks_too_much_is_refused():
    with pytest.raises(Infeasible, match=r"loses up to .* would do \(the default\)"):
        derive(spec_of(TASKS, m=10, dtype="float64", coldness=3.0))
    with pytest.raises(Infeasible, match="words that no task says keep up to"):
        derive(spec_of(TASKS, m=10, dtype="float64", coldness=6.5))
    wide = [constant(*row, *row) for row in ((0, 1, 2), (0, 3, 4), (5, 1, 2))]
    with pytest.raises(Infeasible, match="the mean over a line is off"):
        derive(spec_of(wide, m=1, S=60, dtype="float64", coldness=7.5))


def test_sizes_beyond_the_format_are_refused():
    with pytest.raises(Infeasible, match="float64"):
        derive(spec_of(TASKS, m=2**20))
    assert derive(spec_of(TASKS, m=2**20, dtype="float64")).slope == 2**21
