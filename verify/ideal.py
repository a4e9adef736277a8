"""The ideal residual stream: what each layer must leave behind, from the definition alone.

The stream is a plain array (N, size) for each subspace name. Tokens are laid out as
`construct.roles` says: BOS, m' examples of n tokens, the query's n tokens.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, Shaped

from construct import Prompt, Spec, Task
from construct.layout import AnyPrompt
from construct.roles import ANSWER, BOS, EXAMPLE, INPUT, LABEL, QUERY, ROLES
from verify.oracle import ABSTAINED, Verdict
from verify.record import Theorem

Stream = Mapping[str, Shaped[np.ndarray, "N size"]]


class Ideal:
    """A stream under construction: named arrays of shape (N, size), and views of them by token
    role.

    Every theorem has x, y and ok, the flags, the codes e and s of example and slot, and f, which is
    x itself where phi is the identity; its record says what it has beside these. dtype: object
    holds balls.
    """

    def __init__(
        self,
        theorem: Theorem,
        spec: Spec,
        tasks: Sequence[Task],
        prompt: Prompt,
        verdict: Verdict,
        dtype: type = float,
    ) -> None:
        self.spec, self.verdict = spec, verdict
        self.slots = [task.slot for task in tasks]
        self.examples, self.n = prompt.examples, spec.n
        flags = {flag for role in ROLES.values() for flag in role.flags}
        sizes = {"x": spec.d, "y": spec.d, "ok": 1}
        sizes |= dict.fromkeys(flags | ({"sum"} if spec.sum_slot else set()), 1)
        sizes |= {
            "e": int(np.ceil(np.log2(spec.m + 1))),
            "s": int(np.ceil(np.log2(spec.n))),
        }
        sizes |= {"f": spec.features} if spec.features else {}
        sizes |= theorem.subspaces(spec)
        tokens = 1 + (self.examples + 1) * self.n
        self.stream = {name: np.zeros((tokens, size), dtype) for name, size in sizes.items()}
        if not spec.features:
            self.stream["f"] = self.stream["x"]  # phi is the identity: two names of one subspace
        self._embed(prompt)

    def _embed(self, prompt: Prompt) -> None:
        given = {INPUT: prompt.inputs, LABEL: prompt.labels, QUERY: prompt.query}
        for role in ROLES.values():
            for flag in role.flags:
                self._at(role.name, flag)[:] = 1
            if role.content is not None:
                self._at(role.name, role.content)[:] = given[role.name]
        if self.spec.sum_slot:
            for role in (INPUT, QUERY):
                self._at(role, "sum")[:, -1] = 1
        for token in range(1, len(self.stream["one"])):
            example, slot = divmod(token - 1, self.n)
            index = self.spec.m if example == self.examples else example
            for name, number in (("e", index), ("s", slot)):
                bits = self.stream[name].shape[1]
                self.stream[name][token] = [1 if number & (1 << bit) else -1 for bit in range(bits)]

    def _at(self, role: str, name: str) -> Shaped[np.ndarray, "groups *slots size"]:
        """A view of a subspace at the tokens of a role: by group of tokens, and by slot if a group
        has several of the role."""
        first, last = {BOS: (0, 1), EXAMPLE: (1, -self.n), QUERY: (-self.n, None)}[
            ROLES[role].group
        ]
        array = self.stream[name][first:last]
        groups = array.reshape(-1, 1 if role == BOS else self.n, array.shape[1])
        return groups[:, -1] if ROLES[role].last else groups[:, :-1]

    def inputs(self, name: str) -> Shaped[np.ndarray, "m slots size"]:
        """A view of a subspace at the examples' inputs."""
        return self._at(INPUT, name)

    def labels(self, name: str) -> Shaped[np.ndarray, "m size"]:
        """A view of a subspace at the labels."""
        return self._at(LABEL, name)

    def query_inputs(self, name: str) -> Shaped[np.ndarray, "slots size"]:
        """A view of a subspace at the query's inputs."""
        return self._at(QUERY, name)[0]

    def answer(self, name: str) -> Shaped[np.ndarray, "size"]:
        """A view of a subspace at the answer token."""
        return self._at(ANSWER, name)[0]

    def committed(self) -> tuple[Int[np.ndarray, "M"], Int[np.ndarray, "M"]]:
        """The examples that count, and the slot that the task of each reads."""
        examples = np.flatnonzero(self.verdict.recognized != ABSTAINED)
        return examples, np.array([self.slots[i] for i in self.verdict.recognized[examples]], int)


def flag(stream: Stream, name: str) -> Bool[np.ndarray, "N"]:
    """Where a flag of a stream is 1; nowhere if the stream does not have it."""
    return stream[name][:, 0] == 1 if name in stream else np.zeros(len(stream["one"]), bool)


def sum_slots(stream: Stream) -> Bool[np.ndarray, "N"]:
    """The tokens of sum slots."""
    return flag(stream, "sum")


def example_inputs(stream: Stream) -> Bool[np.ndarray, "N"]:
    """The inputs of the examples."""
    return flag(stream, "inp") & ~flag(stream, "qry")


def labels(stream: Stream) -> Bool[np.ndarray, "N"]:
    """The labels."""
    return flag(stream, "lab")


def committed_labels(stream: Stream) -> Bool[np.ndarray, "N"]:
    """The labels whose example counts."""
    return labels(stream) & flag(stream, "ok")


def answer_token(stream: Stream) -> Bool[np.ndarray, "N"]:
    """The answer token."""
    return flag(stream, "qry") & ~flag(stream, "inp")


def ideal_streams(
    theorem: Theorem,
    spec: Spec,
    tasks: Sequence[Any],
    prompt: AnyPrompt,
    verdict: Any,
    dtype: type = float,
) -> Iterator[Stream]:
    """The stream before the first layer, then after each: each layer's check says what it must
    leave behind.

    dtype object lets a verdict of balls pass through.
    """
    make: Any = theorem.ideal or Ideal
    ideal = make(theorem, spec, tasks, prompt, verdict, dtype)
    yield {name: array.copy() for name, array in ideal.stream.items()}
    for layer in theorem.checks:
        layer.expect(ideal)
        yield {name: array.copy() for name, array in ideal.stream.items()}
