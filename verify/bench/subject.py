"""What every subject of the bench can do, whatever it is made of.

A prompt of lines goes in. Out come the probabilities of answer strings, the stream after each layer
at four places, and what each head wrote at the answer token. A run can be changed: heads ablated,
the stream replaced or added to. Methods see nothing else, so that they run alike on all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from verify.bench.tasksets import Case, TaskSet
from verify.posteriors import Said

# The tokens that are looked at: the one that predicts the answer, the last example's label, its
# last input token, the query's last input token.
PLACES = ("answer", "label", "input", "query")
# A likeliest token below this is rounding: nothing is answered.
NOTHING = 1e-6
# Where a run can be changed: at the answer token, or at all labels.
TARGETS = ("answer", "labels")


@dataclass(frozen=True, eq=False)
class Change:
    """What is changed in a run. keep (L, H): factors of the heads' outputs at all tokens, 0
    ablates. layer: of `streams`, so 0 is the embedding; there the stream at `target` is replaced by
    vector, (D,) or one a prompt (P, D), or has it added."""

    keep: np.ndarray | None = None
    layer: int | None = None
    vector: np.ndarray | None = None
    add: bool = False
    target: str = "answer"


class Run(NamedTuple):
    """What a run of P prompts shows.

    answers (P, K): the probability of each task's answer string. first (P, K): of the first token
    of each. ranked (P, K): of the K likeliest tokens, in order. inside (P,): of all tokens that
    begin a label of the set; top_inside (P,): whether the likeliest token is one.
    streams (P, places, L+1, D): before the first layer and after each. heads (P, L, H, D): what
    each head writes at one place, with no layers where that was not asked for. scale (P,): the last
    norm's divisor at the answer token, 1 where there is no norm.
    """

    answers: Float[np.ndarray, "P K"]
    first: Float[np.ndarray, "P K"]
    ranked: Float[np.ndarray, "P K"]
    inside: Float[np.ndarray, "P"]
    top_inside: Bool[np.ndarray, "P"]
    streams: Float[np.ndarray, "P places L1 D"]
    heads: Float[np.ndarray, "P L H D"]
    scale: Float[np.ndarray, "P"]

    @property
    def top(self) -> Float[np.ndarray, "P"]:
        """The likeliest token's probability."""
        return self.ranked[:, 0]

    def at(self, place: str) -> Float[np.ndarray, "P L1 D"]:
        """The streams at a place."""
        return self.streams[:, PLACES.index(place)]

    @classmethod
    def join(cls, parts: Sequence["Run"]) -> "Run":
        """Several runs as one."""
        return cls(*(np.concatenate(one) for one in zip(*parts, strict=True)))


class Slopes(NamedTuple):
    """How the first minus the second of two tasks' scores changes, to first order. keep (P, L, H):
    by each head's factor; stream (P, L+1, D): by what is added at the answer token."""

    keep: Float[np.ndarray, "P L H"]
    stream: Float[np.ndarray, "P L1 D"]


@runtime_checkable
class Subject(Protocol):
    """A transformer that can be asked. name, kind: 'constructed', 'trained' or 'pretrained'.
    layers: their names. heads: of a layer. size: what Figure 6 sets against the score. softmax:
    whether answers come from one, and scores are then log probabilities."""

    name: str
    kind: str
    layers: tuple[str, ...]
    heads: int
    size: int
    softmax: bool

    def prepare(self, tasks: TaskSet, lines: int) -> None:
        """Make ready for prompts of a task set, of at most so many lines."""
        ...

    def run(
        self, cases: Sequence[Case], change: Change | None = None, heads: str | None = None
    ) -> Run:
        """Ask prompts; heads: the place at which what they write is kept."""
        ...

    def zero_shot(self, tasks: TaskSet, case: Case) -> Case:
        """The case without evidence: no line, or where a subject needs one, a line that no task
        explains."""
        ...

    def slopes(self, cases: Sequence[Case], pair: tuple[int, int]) -> Slopes:
        """The slopes of the difference of two tasks' scores: log probabilities, or where there is
        no softmax at the end, probabilities."""
        ...

    def unembed(self, words: Sequence[str]) -> Float[np.ndarray, "Y D"]:
        """The unembedding vectors of words, of their first tokens where they are several."""
        ...


@runtime_checkable
class Writer(Protocol):
    """A transformer whose answers are several words or tokens, asked for the next: what `collapse`
    follows. name, kind: as of a `Subject`. soft: whether a mixture of words can be fed back.
    vocabulary: the words or tokens by number."""

    name: str
    kind: str
    soft: bool

    @property
    def vocabulary(self) -> Sequence[str]: ...

    def prepare(self, tasks: TaskSet, lines: int) -> None:
        """Make ready for prompts of a task set, of at most so many lines."""
        ...

    def written(self, case: Case) -> list[tuple[int, ...]]:
        """Each task's answer to a case, in the words or tokens that `ask` counts by."""
        ...

    def ask(self, prompt: Case, prefixes: Sequence[np.ndarray]) -> list[Said]:
        """The next word's distribution after each prefix, and the posterior: how likely it is that
        all that follows is the rest of each task's answer."""
        ...


@dataclass
class Claim:
    """A value that a method gives on a constructed transformer, beside what the theorem says it is
    and how far off it may be."""

    what: str
    observed: float
    expected: float
    bound: float
    source: str = ""

    @property
    def holds(self) -> bool:
        """Positively: NaN holds nothing."""
        return bool(abs(self.observed - self.expected) <= self.bound)

    def as_json(self) -> dict:
        """The claim as plain values."""
        return {
            "what": self.what,
            "observed": float(self.observed),
            "expected": float(self.expected),
            "bound": float(self.bound),
            "source": self.source,
            "holds": self.holds,
        }


@dataclass
class Finding:
    """What a method found on a subject: plain values, and the claims that they are held against."""

    values: dict
    claims: list[Claim] = field(default_factory=list)

    def as_json(self) -> dict:
        """The finding as plain values."""
        return {"values": self.values, "claims": [claim.as_json() for claim in self.claims]}
