"""Tasks and prompts of words, for Theorem 4: a task answers with L words, one after the other.

Words are numbers 0..d-1, and BLANK is no word at all. A *line* is S input words, an arrow and L
answer words; a prompt is m' lines, the examples, and a last one that is not finished, the query.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from construct import checks
from construct.spec import Spec

BLANK = -1


@dataclass(frozen=True, eq=False)
class WordTask:
    """A task that answers with L words: words[t, x] is the word that it says in place t about the
    input word x in its slot, BLANK where it says nothing.

    Shapes: slot p in 0..S-1; words (L, d), entries BLANK or 0..d-1. A task whose answers are
    shorter than L says an end-of-answer word, which is a word like any other, from there on
    (`ended`). Raises ValueError when an entry is no word of the d, or the slot is negative."""

    slot: int
    words: Int[np.ndarray, "L d"]

    def __post_init__(self) -> None:
        slot = checks.integer("WordTask.slot", self.slot, 0, "slots count from 0 to S-1")
        words = _words("WordTask.words", self.words, ("L", "d"))
        if min(words.shape) < 1:
            raise checks.refuse(
                "WordTask.words",
                f"an array of shape {words.shape}",
                "must have L, d >= 1",
                "pass a table with a row an answer word and a column an input word",
            )
        _in_vocabulary("WordTask.words", words, words.shape[1])
        object.__setattr__(self, "slot", slot)
        object.__setattr__(self, "words", words)

    @property
    def matrices(self) -> Float[np.ndarray, "L d d"]:
        """The tables on one-hot words: W^(t) e_x is the t-th word about x, 0 if there is none."""
        return np.swapaxes(one_hot(self.words, self.words.shape[1]), 1, 2)

    @property
    def weight_norm(self) -> float:
        """The largest spectral norm of a table: the root of how often one word is said."""
        counts = [np.bincount(row[row != BLANK], minlength=1).max() for row in self.words]
        return float(np.sqrt(max(counts)))


@dataclass(frozen=True, eq=False)
class WordPrompt:
    """m' examples, a query and what has been said of its answer so far.

    Shapes: inputs (m', S), answers (m', L), query (S,), of words or BLANK. prefix: t words, 0 <= t
    < L, or (t, d) soft words, each a row of weights; a soft word counts as said by every task whose
    word has a weight of at least 1/m in it. Raises ValueError when shapes disagree, there is no
    example, or a soft word's weights are negative or sum to more than 1."""

    inputs: Int[np.ndarray, "m S"]
    answers: Int[np.ndarray, "m L"]
    query: Int[np.ndarray, "S"]
    prefix: Any = ()

    def __post_init__(self) -> None:
        inputs = _words("inputs", self.inputs, ("m", "S"))
        answers = _words("answers", self.answers, ("m", "L"))
        query = _words("query", self.query, ("S",))
        if min(inputs.shape) < 1 or answers.shape[1] < 1:
            raise checks.refuse(
                "inputs, answers",
                f"arrays of shapes {inputs.shape} and {answers.shape}",
                "a prompt needs an example, of an input word and an answer word at least",
                "pass m' >= 1 examples",
            )
        checks.shape("answers", answers, (len(inputs), answers.shape[1]), "(m', L), as many")
        checks.shape("query", query, inputs.shape[1:], "(S,) of these inputs")
        prefix = _prefix(self.prefix)
        for name, value in (
            ("inputs", inputs),
            ("answers", answers),
            ("query", query),
            ("prefix", prefix),
        ):
            object.__setattr__(self, name, value)

    @property
    def examples(self) -> int:
        """The number of examples m'."""
        return len(self.inputs)

    @property
    def labels(self) -> Int[np.ndarray, "m L"]:
        """The answers, by the name that every kind of prompt has for what decides an example."""
        return self.answers

    @property
    def tokens(self) -> int:
        """The number of tokens N = 1 + m' (S + 1 + L) + S + 1 + t."""
        S, L = self.inputs.shape[1], self.answers.shape[1]
        return 1 + self.examples * (S + 1 + L) + S + 1 + len(self.prefix)

    def after(self, prefix: Any) -> "WordPrompt":
        """The same prompt with other words said so far."""
        return WordPrompt(self.inputs, self.answers, self.query, prefix)

    def soft_prefix(self, d: int) -> Float[np.ndarray, "t d"]:
        """The prefix as rows of weights: one-hot where its words are hard."""
        return self.prefix if self.prefix.ndim == 2 else one_hot(self.prefix, d)


def one_hot(words: Int[np.ndarray, "*shape"], d: int) -> Float[np.ndarray, "*shape d"]:
    """Words as vectors; a BLANK is 0."""
    return (words[..., None] == np.arange(d)).astype(float)


def ended(answers: Sequence[Sequence[int]], L: int, end: int) -> Int[np.ndarray, "rows L"]:
    """Answers of unequal lengths, at most L, filled up with the end-of-answer word.

    Raises ValueError for an answer that is longer than L or holds the end-of-answer word before its
    end.
    """
    rows = []
    for i, answer in enumerate(answers):
        row = [int(word) for word in answer]
        if len(row) > L or end in row:
            raise checks.refuse(
                f"answers[{i}]",
                row,
                f"must be at most L = {L} words without the end-of-answer word {end}",
                "raise L, or take a word for the end that no answer holds",
            )
        rows.append(row + [end] * (L - len(row)))
    return np.array(rows, int).reshape(len(rows), L)


def check_words(spec: Spec, prompt: Any, name: str, input_radius: float) -> None:
    """Refuse a prompt that does not fit the Spec: its shapes, more than m examples, a word beyond
    d, a finished answer, or a soft word with a weight between 0 and 1/m."""
    if not isinstance(prompt, WordPrompt):
        raise checks.refuse(
            name,
            f"a {type(prompt).__name__}",
            "must be a WordPrompt",
            "a call takes a WordPrompt or a list of them, a trace one",
        )
    S = input_slots(spec)
    checks.shape(f"{name}.inputs", prompt.inputs, (prompt.examples, S), "(m', n - 1 - L)")
    checks.shape(f"{name}.answers", prompt.answers, (prompt.examples, spec.L), "(m', L)")
    if prompt.examples > spec.m:
        raise checks.refuse(
            f"{name}.inputs",
            f"{prompt.examples} examples",
            f"must have at most m = {spec.m}",
            "drop some or build with a larger m",
        )
    for part in ("inputs", "answers", "query"):
        _in_vocabulary(f"{name}.{part}", getattr(prompt, part), spec.d)
    check_prefix(spec, prompt.prefix, f"{name}.prefix")


def check_prefix(spec: Spec, prefix: np.ndarray, name: str) -> None:
    """Refuse a prefix that leaves no word to say, or holds what is no word or soft word of the
    Spec."""
    if len(prefix) >= spec.L:
        raise checks.refuse(
            name,
            f"{len(prefix)} words",
            f"must have fewer than L = {spec.L}: after these the answer is finished",
            "ask for the next word of a shorter prefix",
        )
    if prefix.ndim == 1:
        _in_vocabulary(name, prefix, spec.d)
        return
    checks.shape(name, prefix, (len(prefix), spec.d), "(t, d)")
    # A mixture's weights are computed, and come out a little above 0 or below 1/m.
    vague = (prefix > faint(spec)) & (prefix < 3 / (4 * spec.m))
    if vague.any():
        t, word = (int(i) for i in np.argwhere(vague)[0])
        raise checks.refuse(
            f"{name}[{t}, {word}]",
            f"a weight of {prefix[t, word]:.6g}",
            f"must be 0 or at least 1/m = {1 / spec.m:.6g} (Lemma 1): so much has the "
            "word of every task that an example shows",
            "cut the weight to 0, or raise it",
        )


def _prefix(value: Any) -> np.ndarray:
    """A prefix as words (t,) or soft words (t, d)."""
    array = np.asarray(value)
    if array.ndim != 2:
        return _words("prefix", array.astype(int) if array.size == 0 else array, ("t",))
    soft = checks.floats("prefix", array, ("t", "d"))
    off = (soft < 0).any(1) | (soft.sum(1) > 1 + soft.shape[1] * np.finfo(np.float32).eps)
    if off.any():
        t = int(np.flatnonzero(off)[0])
        raise checks.refuse(
            f"prefix[{t}]",
            f"weights of least {soft[t].min():.6g} and sum {soft[t].sum():.6g}",
            "a soft word's weights must be at least 0 and sum to at most 1",
            "pass a distribution over words, or word numbers",
        )
    return soft


def _words(argument: str, value: Any, axes: Sequence[str]) -> np.ndarray:
    """`value` as a read-only array of whole numbers with the named axes."""
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise checks.refuse(
            argument,
            f"an array of {array.dtype}",
            "must hold words: whole numbers, -1 for a blank",
            "number the words from 0",
        )
    if array.ndim != len(axes):
        shape = f"({', '.join(axes)})"
        raise checks.refuse(
            argument, f"an array of shape {array.shape}", f"must have shape {shape}", "reshape it"
        )
    array = np.array(array, np.int64)
    array.setflags(write=False)
    return array


def _in_vocabulary(argument: str, words: np.ndarray, d: int) -> None:
    off = (words < BLANK) | (words >= d)
    if off.any():
        where = [int(i) for i in np.argwhere(off)[0]]
        raise checks.refuse(
            f"{argument}{where}",
            int(words[tuple(where)]),
            f"must be a word 0..{d - 1}, or -1 for a blank",
            "use the numbers of the d words",
        )


def input_slots(spec: Spec) -> int:
    """S = n - 1 - L, the input words of a line. Raises ValueError where none is left."""
    S = spec.n - 1 - spec.L
    if S < 1:
        raise checks.refuse(
            "spec.n",
            spec.n,
            f"must be at least L + 2 = {spec.L + 2} (Theorem 4): an input, an arrow and L words",
            "use construct.theorem4.spec_of(tasks, ...)",
        )
    return S


def match_slope(m: int) -> float:
    """Recognize's slope k: the least power of two of at least 2m, so that a word of weight 1/m is
    twice what it takes to count as said."""
    return float(1 << (2 * m - 1).bit_length())


def line_scale(L: int) -> float:
    """L', the least power of two of at least L + 1: a word that is not said lowers the mean over a
    line by 1/L' or more."""
    return float(1 << L.bit_length())


def faint(spec: Spec) -> float:
    """The weight up to which a soft word does not count: Recognize's slope times it fills half of
    Consistency's dead zone, 1/(4L')."""
    return 1 / (8 * line_scale(spec.L) * match_slope(spec.m))
