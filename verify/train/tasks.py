"""What the decoders are trained on: prompts of lines, all of one task, as tokens.

A line is the input's symbols, an arrow and the answer. ret: some different letters, the i-th is the
answer. plus: a digit x, (x + k) mod 10 is the answer. The paper's Figure 3 trains on these two.
chain: a digit x, answered by three digits, each x plus a step of the task's own modulo 10; the
tasks' answers part at the first word, the second or the third.
"""

import string
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

ARROW = "->"
KINDS = ("ret", "plus", "chain")
# By task of `chain`, what each word adds.
STEPS = ((7, 8, 9), (1, 2, 3), (1, 5, 6), (1, 2, 4))


@dataclass(frozen=True)
class Tasks:
    """The tasks of a kind: ret1..retK on words of K letters, plus0..plus(K-1) on digits, or the
    first K of `STEPS`."""

    kind: str
    K: int
    lines: int  # of a training prompt

    @property
    def symbols(self) -> tuple[str, ...]:
        """The vocabulary; a token is its index."""
        return (*(string.ascii_lowercase if self.kind == "ret" else string.digits), ARROW)

    @property
    def names(self) -> tuple[str, ...]:
        """The tasks' names."""
        if self.kind == "chain":
            return tuple("".join(map(str, steps)) for steps in STEPS[: self.K])
        first = 1 if self.kind == "ret" else 0
        return tuple(f"{self.kind}{i + first}" for i in range(self.K))

    @property
    def inputs(self) -> int:
        """Symbols of a line's input."""
        return self.K if self.kind == "ret" else 1

    @property
    def words(self) -> int:
        """Words of an answer, a token each."""
        return len(STEPS[0]) if self.kind == "chain" else 1

    @property
    def line(self) -> int:
        """Tokens of a line."""
        return self.inputs + 1 + self.words

    @property
    def rows(self) -> Int[np.ndarray, "rows"]:
        """The tokens of a training prompt that predict an answer's word."""
        first = np.arange(self.lines)[:, None] * self.line + self.inputs
        return (first + np.arange(self.words)).ravel()

    def draw(self, rng: np.random.Generator, *size: int) -> Int[np.ndarray, "*size inputs"]:
        """Random inputs; the letters of one are different."""
        if self.kind != "ret":
            return rng.integers(0, 10, (*size, 1))
        letters = len(self.symbols) - 1
        return np.argsort(rng.random((*size, letters)), -1)[..., : self.inputs]

    def answers(self, inputs: Int[np.ndarray, "*size inputs"]) -> Int[np.ndarray, "*size K words"]:
        """What each task says, word by word."""
        if self.kind == "ret":
            return inputs[..., None]
        if self.kind == "plus":
            return (inputs[..., None] + np.arange(self.K)[:, None]) % 10
        return (inputs[..., None] + np.array(STEPS[: self.K])) % 10

    def batch(
        self, rng: np.random.Generator, prompts: int, in_play: int
    ) -> tuple[Int[np.ndarray, "B T"], Int[np.ndarray, "B lines words"]]:
        """Training prompts, each of one of the first `in_play` tasks: tokens and answers."""
        inputs = self.draw(rng, prompts, self.lines)
        task = rng.integers(0, in_play, (prompts, 1, 1))
        answers = np.take_along_axis(self.answers(inputs), task[..., None], -2)[..., 0, :]
        arrows = np.full_like(answers[..., :1], len(self.symbols) - 1)
        tokens = np.concatenate([inputs, arrows, answers], -1).reshape(prompts, -1)
        return tokens[:, :-1], answers
