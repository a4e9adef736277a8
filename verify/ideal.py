"""The ideal residual stream: what each layer must leave behind, from the definition alone.

Tokens are laid out as BOS, m' examples of n tokens, the query's n tokens; the stream is a plain
array for each subspace name.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType

import numpy as np
from jaxtyping import Bool, Int, Shaped

from construct import Prompt, Spec, Task
from verify.oracle import ABSTAINED, Verdict

Stream = Mapping[str, Shaped[np.ndarray, "N size"]]

NO_BLOCKS: Mapping[str, int] = {}


class Ideal:
    """A stream under construction: named arrays of shape (N, size), and views of them by token
    role."""

    def __init__(
        self,
        spec: Spec,
        tasks: Sequence[Task],
        prompt: Prompt,
        verdict: Verdict,
        dtype: type = float,
        blocks: Mapping[str, int] = NO_BLOCKS,
    ) -> None:
        self.spec, self.verdict = spec, verdict
        self.slots = [task.slot for task in tasks]
        self.examples, self.n = prompt.examples, spec.n
        tokens = 1 + (self.examples + 1) * self.n
        example_bits = int(np.ceil(np.log2(spec.m + 1)))
        slot_bits = int(np.ceil(np.log2(spec.n)))
        sizes = {
            "x": spec.d,
            "y": spec.d,
            "z": 2,
            "count": 1,
            "ok": 1,
            "one": 1,
            "bos": 1,
            "inp": 1,
            "lab": 1,
            "qry": 1,
        }
        sizes |= {"e": example_bits, "s": slot_bits} | ({"sum": 1} if spec.sum_slot else {})
        sizes |= {"f": spec.features} if spec.features else {}
        sizes |= blocks
        self.stream = {name: np.zeros((tokens, size), dtype) for name, size in sizes.items()}
        if not spec.features:
            self.stream["f"] = self.stream["x"]  # phi is the identity: two names of one subspace
        self._embed(prompt, spec)

    def _embed(self, prompt: Prompt, spec: Spec) -> None:
        self.inputs("x")[:] = prompt.inputs
        self.query_inputs("x")[:] = prompt.query
        self.labels("y")[:] = prompt.labels
        self.stream["one"][:] = 1
        self.stream["bos"][0] = 1
        for tokens in (self.inputs, self.query_inputs):
            tokens("inp")[:] = 1
        self.labels("lab")[:] = 1
        self.stream["qry"][-self.n :] = 1
        if spec.sum_slot:
            self.inputs("sum")[:, -1] = 1
            self.query_inputs("sum")[-1] = 1
        for token in range(1, len(self.stream["one"])):
            example, slot = divmod(token - 1, self.n)
            index = spec.m if example == self.examples else example
            for name, number in (("e", index), ("s", slot)):
                bits = self.stream[name].shape[1]
                self.stream[name][token] = [1 if number & (1 << bit) else -1 for bit in range(bits)]

    def _examples(self, name: str) -> Shaped[np.ndarray, "m n size"]:
        array = self.stream[name][1 : 1 + self.examples * self.n]
        return array.reshape(self.examples, self.n, -1)

    def inputs(self, name: str) -> Shaped[np.ndarray, "m slots size"]:
        """A view of a subspace at the examples' inputs."""
        return self._examples(name)[:, :-1]

    def labels(self, name: str) -> Shaped[np.ndarray, "m size"]:
        """A view of a subspace at the labels."""
        return self._examples(name)[:, -1]

    def query_inputs(self, name: str) -> Shaped[np.ndarray, "slots size"]:
        """A view of a subspace at the query's inputs."""
        return self.stream[name][-self.n : -1]

    def answer(self, name: str) -> Shaped[np.ndarray, "size"]:
        """A view of a subspace at the answer token."""
        return self.stream[name][-1]

    def committed(self) -> tuple[Int[np.ndarray, "M"], Int[np.ndarray, "M"]]:
        """The examples that count, and the slot that the task of each reads."""
        examples = np.flatnonzero(self.verdict.recognized != ABSTAINED)
        return examples, np.array([self.slots[i] for i in self.verdict.recognized[examples]], int)


def flag(stream: Stream, name: str) -> Bool[np.ndarray, "N"]:
    """Where a flag of a stream is 1; nowhere if the stream does not have it."""
    return stream[name][:, 0] == 1 if name in stream else np.zeros(len(stream["one"]), bool)


def ideal_streams(
    layers: Sequence[ModuleType],
    spec: Spec,
    tasks: Sequence[Task],
    prompt: Prompt,
    verdict: Verdict,
    dtype: type = float,
    blocks: Mapping[str, int] = NO_BLOCKS,
) -> Iterator[Stream]:
    """The stream before the first layer, then after each: each layer's check says what it must
    leave behind.

    dtype object lets a verdict of balls pass through. blocks: sizes of subspaces that Theorem 1's
    stream does not have.
    """
    ideal = Ideal(spec, tasks, prompt, verdict, dtype, blocks)
    yield {name: array.copy() for name, array in ideal.stream.items()}
    for layer in layers:
        layer.expect(ideal)
        yield {name: array.copy() for name, array in ideal.stream.items()}
