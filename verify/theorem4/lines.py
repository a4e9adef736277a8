"""The ideal residual stream of lines: what each layer must leave behind, from the
definition alone. Tokens: BOS, m' lines of S inputs, an arrow and L words (or vectors), and the
query's line, unfinished."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from construct import Spec
from verify import balls
from verify.ideal import Stream
from verify.record import Theorem
from verify.theorem4.definition import says


class Lines:
    """A stream under construction: named arrays of shape (N, size).

    verdict: on the prompt. dtype: object holds balls. rows: by line, the place of its first token;
    the query's is the last.
    """

    def __init__(
        self,
        theorem: Theorem,
        spec: Spec,
        tasks: Sequence[Any],
        prompt: Any,
        verdict: Any,
        dtype: type = float,
    ) -> None:
        self.spec, self.tasks, self.prompt, self.verdict = spec, tasks, prompt, verdict
        self.dtype, self.S = dtype, prompt.inputs.shape[1]
        n = self.S + 1 + spec.L
        self.rows = [1 + j * n for j in range(prompt.examples + 1)]
        tokens = self.rows[-1] + self.S + 1 + len(prompt.prefix)
        sizes = {"x": spec.d, "y": spec.d, "ok": 1, "one": 1, "bos": 1, "inp": 1}
        sizes |= {f"a{u}": 1 for u in range(spec.L + 1)}
        sizes |= {"e": int(np.ceil(np.log2(spec.m + 1))), "s": int(np.ceil(np.log2(n)))}
        sizes |= theorem.subspaces(spec)
        self.stream = {name: np.zeros((tokens, size), dtype) for name, size in sizes.items()}
        self._embed()

    def _embed(self) -> None:
        stream, prompt = self.stream, self.prompt
        stream["one"][:] = 1
        stream["bos"][0] = 1
        for j, first in enumerate(self.rows):
            examples = j < prompt.examples
            inputs = prompt.inputs[j] if examples else prompt.query
            words = prompt.answers[j] if examples else prompt.prefix
            for p, word in enumerate(inputs):
                stream["inp"][first + p] = 1
                self._put(first + p, word)
            for u in range(len(words) + 1):
                stream[f"a{u}"][first + self.S + u] = 1
                if u:
                    self._put(first + self.S + u, words[u - 1])
            for k in range(self.S + 1 + len(words)):
                index = j if examples else self.spec.m
                for name, number in (("e", index), ("s", k)):
                    bits = stream[name].shape[1]
                    stream[name][first + k] = [1 if number & (1 << b) else -1 for b in range(bits)]

    def _put(self, token: int, word: Any) -> None:
        if np.ndim(word):  # a soft word, or a vector
            self.stream["x"][token] = word
        elif word >= 0:
            self.stream["x"][token, word] = 1

    def lines(self) -> list[tuple[int, list[Any], int]]:
        """By line: its first token, its inputs, and how many words it has."""
        prompt = self.prompt
        found = [
            (first, prompt.inputs[j].tolist(), self.spec.L)
            for j, first in enumerate(self.rows[:-1])
        ]
        return [*found, (self.rows[-1], prompt.query.tolist(), len(prompt.prefix))]

    def said(self, token: int, word: int | None) -> bool:
        """Whether a token says this word: alone, or softly with a weight of 1/m."""
        if word is None:
            return False
        return bool(self.stream["x"][token, word] >= 3 / (4 * self.spec.m))

    def number(self, value: Fraction) -> Any:
        """A fraction in this stream's format."""
        if self.dtype is float:
            return float(value)
        return balls.flint().arb(value.numerator) / value.denominator

    def matches(self, token: int, place: int, inputs: list[int]) -> list[bool]:
        """By task, whether a token is the word that it says in this place (1..L) of its line."""
        return [self.said(token, says(task, place - 1, inputs)) for task in self.tasks]


def answers(stream: Stream, first: int, last: int | None = None) -> Bool[np.ndarray, "N"]:
    """The tokens with a flag a_u, first <= u <= last (None: whatever it is)."""
    names = [name for name in stream if name[0] == "a" and name[1:].isdigit()]
    wanted = [name for name in names if first <= int(name[1:]) <= (last or len(names))]
    held: Shaped[np.ndarray, "N flags"] = np.concatenate([stream[n] for n in wanted], axis=1)
    return (held == 1).any(1)
