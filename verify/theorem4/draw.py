"""Random and adversarial tasks and prompts of words for Theorem 4.

Kinds of tasks: *free* ones; ones that *share* their first words, so that only a later word tells
them apart; *twins*, which differ in one word about one input, so that most examples are ambiguous;
and ones of a *small* vocabulary, where chance agreements abound. A tenth of all table entries is
blank."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from construct import Spec
from construct.theorem4 import spec_of
from construct.words import BLANK, WordPrompt, WordTask
from verify.draw import Impossible, check_counts, draw_shares
from verify.theorem4.definition import judge

KINDS = ("free", "share", "twins", "small")
BLANKS = 0.1
TRIES = 1000


@dataclass(frozen=True, eq=False)
class Instance:
    """Random tasks of words with their Spec. feature_map: there is none."""

    spec: Spec
    tasks: list[WordTask]
    feature_map: None = None


def draw_instance(
    rng: np.random.Generator,
    *,
    K: int,
    d: int,
    m: int,
    n: int,
    L: int | None = None,
    kind: str = "share",
    blanks: float = 0.0,
    fallback: bool = False,
    coldness: float | None = None,
    dtype: str = "float32",
) -> Instance:
    """K random tasks of L words (default: half of a line, n // 2) on a vocabulary of d.

    blanks: the share of entries at which a task says nothing. About word 0 all tasks say the same,
    and the first two read one slot, so that some examples are ambiguous. Raises Impossible where
    there are not so many different tasks."""
    L = max(n // 2, 1) if L is None else L
    S = n - 1 - L
    if S < 1:
        raise Impossible(
            f"n = {n}: a line has an input, an arrow and an answer of L = {L}; raise --n to {L + 2}"
        )
    tasks: list[WordTask] = []
    shared = table(rng, L, d, d, blanks)
    shared[:, 0] = rng.integers(d, size=L)
    for i in range(K):
        for _ in range(TRIES):
            slot = tasks[0].slot if i == 1 else int(rng.integers(S))
            task = WordTask(slot, _words(rng, kind, i, shared, tasks, blanks))
            if not any(_same(task, other) for other in tasks):
                tasks.append(task)
                break
        else:
            raise Impossible(
                f"no {K} different tasks of {L} words on {d} in {TRIES} tries; lower --K or "
                "raise --d"
            )
    spec = spec_of(tasks, m=m, S=S, fallback=fallback, coldness=coldness, dtype=dtype)
    return Instance(spec, tasks)


def table(
    rng: np.random.Generator, L: int, d: int, words: int, blanks: float
) -> Int[np.ndarray, "L d"]:
    """L random functions from d words to the first `words` of them, some entries blank."""
    return np.where(rng.random((L, d)) < blanks, BLANK, rng.integers(words, size=(L, d)))


def _words(
    rng: np.random.Generator,
    kind: str,
    index: int,
    shared: Int[np.ndarray, "L d"],
    tasks: Sequence[WordTask],
    blanks: float,
) -> Int[np.ndarray, "L d"]:
    L, d = shared.shape
    words = table(rng, L, d, min(d, 2) if kind == "small" else d, blanks)
    if kind == "share":
        common = int(rng.integers(L))
        words[:common] = shared[:common]
    if kind == "twins" and index:
        words = tasks[0].words.copy()
        words[rng.integers(L), rng.integers(d)] = rng.integers(d)
    words[:, 0] = shared[:, 0]
    return words


def _same(one: WordTask, other: WordTask) -> bool:
    return one.slot == other.slot and bool((one.words == other.words).all())


def draw_prompt(
    rng: np.random.Generator,
    instance: Instance,
    *,
    examples: int | None = None,
    noise: int | None = 0,
    shares: Sequence[float] | np.ndarray | None = None,
    empty: float = 0.0,
    ambiguous: int = 0,
    pure: bool = False,
    said: int = 0,
) -> WordPrompt:
    """A prompt of `examples` examples (default m), each of a task drawn with probability `shares`
    (default: random unequal ones).

    noise: so many of them have answers of random words; None: each may be spoiled in one way or
    another. ambiguous: so many are explained by two tasks at least. empty: the share of inputs that
    are blank. pure: all examples are of one task. said: so many words of the answer of the most
    prevalent task are said. Raises Impossible where there are fewer examples than asked for, or one
    task is to be ambiguous."""
    spec, tasks = instance.spec, instance.tasks
    examples = spec.m if examples is None else examples
    check_counts(spec.K, examples, noise or 0, ambiguous)
    shares = draw_shares(rng, spec.K, pure) if shares is None else shares
    S = spec.n - 1 - spec.L
    inputs = rng.integers(spec.d, size=(examples + 1, S))
    inputs[rng.random(inputs.shape) < empty] = BLANK
    chosen = rng.choice(spec.K, p=np.asarray(shares), size=examples)
    order = rng.permutation(examples)
    off, alike = order[: noise or 0], order[noise or 0 :][:ambiguous]
    inputs[alike, tasks[0].slot] = 0
    chosen[alike] = 0
    answers = np.stack(
        [_answer(rng, tasks[i], row, spec.d) for i, row in zip(chosen, inputs, strict=False)]
    )
    if noise is None:
        answers = np.stack([_spoiled(rng, answer, spec.d) for answer in answers])
    else:
        answers[off] = rng.integers(spec.d, size=(noise, spec.L))
    prompt = WordPrompt(inputs[:-1], answers, inputs[-1])
    if not said:
        return prompt
    counts = judge(tasks, prompt, spec.m).counts
    return prompt.after(_answer(rng, tasks[int(counts.argmax())], inputs[-1], spec.d)[:said])


def _answer(
    rng: np.random.Generator, task: WordTask, inputs: np.ndarray, d: int
) -> Int[np.ndarray, "L"]:
    """What a task says about a line's inputs; a random word where it says nothing."""
    about = inputs[task.slot]
    said = task.words[:, about] if about != BLANK else np.full(len(task.words), BLANK)
    return np.where(said == BLANK, rng.integers(d, size=len(said)), said)


def _spoiled(rng: np.random.Generator, answer: np.ndarray, d: int) -> np.ndarray:
    """An answer as it is, or all random, or with a wrong last word, or with a word left out."""
    L, chance, answer = len(answer), rng.random(), answer.copy()
    if chance < 0.15:
        return rng.integers(d, size=L)
    if chance < 0.22:
        answer[-1] = rng.integers(d)
    elif chance < 0.25:
        answer[rng.integers(L)] = BLANK
    return answer
