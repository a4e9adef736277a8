"""What a transformer says of a prompt, and the trace of how it got there."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from construct import checks
from construct.residual import Residual

ABSTAINED = -1


@dataclass(frozen=True, eq=False)
class Answer:
    """The superposition, and what the transformer recognized on the way.

    vector (d,): the answer token's content, sum_i (m_i / M) g_i(query); 0 when there is no
    evidence. recognized (m',): the task that each example was committed to, decoded from what the
    transformer wrote, or -1 where it abstained. K: the number of tasks. evaluator: 'dense', 'bf16'
    or 'restricted', which of them computed it; they agree to rounding.
    """

    vector: Float[np.ndarray, "d"]
    recognized: Int[np.ndarray, "m"]
    K: int
    evaluator: str = "dense"

    @cached_property
    def counts(self) -> Int[np.ndarray, "K"]:
        """m_i, the examples committed to each task."""
        return np.bincount(self.recognized[self.recognized != ABSTAINED], minlength=self.K)

    @property
    def evidence(self) -> int:
        """M, the number of examples that count."""
        return int(self.counts.sum())

    @property
    def prevalence(self) -> Float[np.ndarray, "K"]:
        """m_i / M by task; 0 when there is no evidence."""
        return self.counts / max(self.evidence, 1)

    @property
    def message(self) -> str:
        """'no evidence', or how many examples of how many count."""
        if not self.evidence:
            return "no evidence"
        return f"{self.evidence} of {len(self.recognized)} examples count"


@dataclass(frozen=True, eq=False)
class Trace:
    """Every layer's residual stream by subspace name, every head's attention weights and score
    gaps.

    streams: by layer name ('embed' is the stream before the first layer), (N, D). attention: by
    layer name, (K, N, N) with rows as query tokens, empty if not asked for. gaps: by layer name,
    (K, N), how far the winners of a head lead the best loser (infinite where all keys tie). near:
    how many losers are less than 2T behind. best: the score of the best key other than BOS. tokens:
    a readable name of each token.
    """

    answer: Answer
    residual: Residual
    tokens: tuple[str, ...]
    streams: dict[str, Float[np.ndarray, "N D"]]
    gaps: dict[str, Float[np.ndarray, "K N"]]
    near: dict[str, Int[np.ndarray, "K N"]]
    best: dict[str, Float[np.ndarray, "K N"]]
    attention: dict[str, Float[np.ndarray, "K N N"]] = field(default_factory=dict)

    @property
    def task_vector(self) -> Float[np.ndarray, "K"]:
        """The task vector: what the answer token holds in w after Tally (Theorem 3), the prevalence
        of each task.

        Patch it with hooks={("tally", "w"): lambda w: w.at[-1].set(other)}. Raises ValueError where
        a stream has no w.
        """
        self.residual.where("w")
        return self.read("tally", "w")[-1]

    def read(self, layer: str, subspace: str) -> Float[np.ndarray, "N size"]:
        """A subspace of the residual stream after a layer. Raises ValueError for an unknown
        name."""
        if layer not in self.streams:
            raise checks.refuse(
                "layer",
                repr(layer),
                "must be a layer of this trace",
                f"use one of {', '.join(self.streams)}",
            )
        return self.streams[layer][:, self.residual.where(subspace)]
