"""What a transformer says of a prompt, and the trace of how it got there."""

from collections.abc import Callable
from dataclasses import dataclass
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
    evidence; (queries, d) where a memory was asked many queries. recognized (m',): the task that
    each example was committed to, decoded from what the transformer wrote, or -1 where it
    abstained. K: the number of tasks. evaluator: 'dense', 'bf16', 'restricted' or 'memory', which
    of them computed it; they agree to rounding. posterior (K,): of Theorem 4 alone, the prevalence
    of each task given the words said so far; there the vector is the distribution of the next word.
    counted: m_i, where it is known already.
    """

    vector: Float[np.ndarray, "*queries d"]
    recognized: Int[np.ndarray, "m"]
    K: int
    evaluator: str = "dense"
    posterior: Float[np.ndarray, "K"] | None = None
    counted: Int[np.ndarray, "K"] | None = None

    @cached_property
    def counts(self) -> Int[np.ndarray, "K"]:
        """m_i, the examples committed to each task."""
        if self.counted is not None:
            return self.counted
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

    streams: by layer name ('embed' is the stream before the first layer), (N, D). middles: the same
    before the layer's MLP. attention: by layer name, (K, N, N) with rows as query tokens, empty if
    not asked for. gaps: by layer name, (K, N), how far the winners of a head lead the best loser
    (infinite where all keys tie). near: how many losers are less than 2T behind. best: the score of
    the best key other than BOS. tokens: a readable name of each token. written: by layer name, what
    each head writes.
    """

    answer: Answer
    residual: Residual
    tokens: tuple[str, ...]
    streams: dict[str, Float[np.ndarray, "N D"]]
    middles: dict[str, Float[np.ndarray, "N D"]]
    gaps: dict[str, Float[np.ndarray, "K N"]]
    near: dict[str, Int[np.ndarray, "K N"]]
    best: dict[str, Float[np.ndarray, "K N"]]
    attention: dict[str, Float[np.ndarray, "K N N"]]
    written: Callable[[str], Float[np.ndarray, "K N D"]]

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
        """A subspace of the residual stream after a layer, or at 'embed', '<layer>.resid_mid' or
        '<layer>.resid_post'. Raises ValueError for an unknown name."""
        name, _, place = str(layer).partition(".")
        found = {"": self.streams, "resid_post": self.streams, "resid_mid": self.middles}.get(place)
        if found is None or name not in found:
            raise checks.refuse(
                "layer",
                repr(layer),
                "must be a layer of this trace",
                f"use one of {', '.join(self.streams)}, alone or with .resid_mid after it",
            )
        return found[name][:, self.residual.where(subspace)]

    def heads(self, layer: str) -> Float[np.ndarray, "K N D"]:
        """What each head 0..K-1 of a layer wrote at every token; summed over the heads, what the
        attention added. Raises ValueError for an unknown layer, or a trace without attention."""
        if not isinstance(layer, str) or layer not in self.gaps:
            raise checks.refuse(
                "layer",
                repr(layer),
                "must be a layer of this trace",
                f"use one of {', '.join(self.gaps)}",
            )
        if not self.attention:
            raise checks.refuse(
                "attention", False, "heads are read off the attention weights", "trace with them"
            )
        return self.written(layer)

    def attribution(self, subspace: str = "y", token: int = -1) -> dict[str, np.ndarray]:
        """By layer, what each head added to a subspace of one token, (K, size): by default to the
        answer. Raises ValueError for an unknown subspace or token."""
        where, last = self.residual.where(subspace), len(self.tokens) - 1
        if not isinstance(token, (int, np.integer)) or not -last - 1 <= token <= last:
            raise checks.refuse(
                "token",
                repr(token),
                f"must be a place from 0 to {last}, or from the end -1 to {-last - 1}",
                "see trace.tokens",
            )
        return {layer: self.heads(layer)[:, token, where] for layer in self.gaps}

    def __repr__(self) -> str:
        layers = ", ".join(self.streams)
        return (
            f"Trace of {len(self.tokens)} tokens through {layers}: {self.answer.message}; "
            f"subspaces {', '.join(self.residual.names)}"
        )
