"""How prompts of words or unit vectors become rows of a stream: batches of lines, their embedding,
and the names of their tokens (Theorem 4)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from construct.layout import Layout
from construct.prompt import padded_sizes
from construct.residual import Residual, position_codes
from construct.roles import line_flags
from construct.spec import Spec
from construct.vectors import VectorPrompt, check_vectors
from construct.words import WordPrompt, check_words, input_slots, one_hot


class WordBatch(NamedTuple):
    """Prompts of one shape on one-hot words: padded in examples, of which some are `real`, and in
    the prefix, of which `said` words are."""

    inputs: Float[Array | np.ndarray, "*B m S d"]
    answers: Float[Array | np.ndarray, "*B m L d"]
    query: Float[Array | np.ndarray, "*B S d"]
    prefix: Float[Array | np.ndarray, "*B L d"]
    real: Bool[Array | np.ndarray, "*B m"]
    said: Int[Array | np.ndarray, "*B"]

    @property
    def tokens(self) -> int:
        """The rows of a prompt, padding included."""
        m, S = self.inputs.shape[-3:-1]
        return 1 + (m + 1) * (S + 1 + self.answers.shape[-2])


class VectorBatch(NamedTuple):
    """Prompts of one shape on unit vectors: as a `WordBatch`, and whether the prefix is `soft`."""

    inputs: Float[Array | np.ndarray, "*B m S d"]
    answers: Float[Array | np.ndarray, "*B m L d"]
    query: Float[Array | np.ndarray, "*B S d"]
    prefix: Float[Array | np.ndarray, "*B L d"]
    real: Bool[Array | np.ndarray, "*B m"]
    said: Int[Array | np.ndarray, "*B"]
    soft: Bool[Array | np.ndarray, "*B"]

    @property
    def tokens(self) -> int:
        """The rows of a prompt, padding included."""
        m, S = self.inputs.shape[-3:-1]
        return 1 + (m + 1) * (S + 1 + self.answers.shape[-2])


LineBatch = WordBatch | VectorBatch


def batch_of_words(prompts: Sequence[WordPrompt], spec: Spec) -> WordBatch:
    """One batch of checked prompts, padded in examples, prefix and prompts so that few shapes
    compile."""
    d = spec.d
    return WordBatch(
        *_together(
            [
                (one_hot(p.inputs, d), one_hot(p.answers, d), one_hot(p.query, d), p.soft_prefix(d))
                for p in prompts
            ],
            spec,
        )
    )


def batch_of_vectors(prompts: Sequence[VectorPrompt], spec: Spec) -> VectorBatch:
    """As `batch_of_words`, of unit vectors."""
    parts = _together([(p.inputs, p.answers, p.query, p.prefix) for p in prompts], spec)
    soft = [p.soft for p in prompts]
    return VectorBatch(*parts, np.array(soft + soft[:1] * (len(parts[0]) - len(soft))))


def _together(
    prompts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]], spec: Spec
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, answers, query and prefix of prompts as padded arrays; which examples are real, and
    how many words are said."""
    examples, count = padded_sizes([len(prompt[0]) for prompt in prompts], spec.m)
    prompts = [*prompts, *[prompts[0]] * (count - len(prompts))]
    inputs, answers, queries, prefixes = zip(*prompts, strict=True)

    def padded(parts: Sequence[np.ndarray], rows: int) -> np.ndarray:
        out = np.zeros((len(parts), rows, *parts[0].shape[1:]), spec.dtype)
        for row, part in zip(out, parts, strict=True):
            row[: len(part)] = part
        return out

    return (
        padded(inputs, examples),
        padded(answers, examples),
        np.array(queries, spec.dtype),
        padded(prefixes, spec.L),
        np.arange(examples) < np.array([[len(one)] for one in inputs]),
        np.array([len(prefix) for prefix in prefixes], np.int32),
    )


def embed_vectors(
    batch: VectorBatch, residual: Residual, m: int
) -> tuple[Float[Array, "N D"], Bool[Array, "N"]]:
    """As `embed_words`; a soft prefix has its flag."""
    stream, real = embed_words(batch, residual, m)
    L = batch.answers.shape[1]
    told = jnp.arange(-L, 0) >= -batch.said
    return stream.at[-L:, residual.where("soft")].set(
        (told & batch.soft)[:, None].astype(stream.dtype)
    ), real


def embed_words(
    batch: LineBatch, residual: Residual, m: int
) -> tuple[Float[Array, "N D"], Bool[Array, "N"]]:
    """The stream of one prompt before the first layer, and which rows are real.

    Rows: BOS; the examples, n each; n more for the query, of which the last S + 1 + t are real, so
    that the last row of all is the one that predicts.
    """
    examples, S, _ = batch.inputs.shape
    L = batch.answers.shape[1]
    lines = embed_lines(batch.inputs, batch.answers, jnp.arange(examples), residual)
    query = embed_lines(batch.query[None], batch.prefix[None], jnp.array([m]), residual)[0]
    told = jnp.arange(S + 1 + L) < S + 1 + batch.said
    unsaid = L - batch.said
    query, told = jnp.roll(query, unsaid, axis=0), jnp.roll(told, unsaid)
    stream = [embed_bos(residual, lines.dtype), lines.reshape(-1, residual.dim), query]
    real = [jnp.ones(1, bool), jnp.repeat(batch.real, S + 1 + L), told]
    return jnp.concatenate(stream), jnp.concatenate(real)


def embed_bos(residual: Residual, dtype: Any) -> Float[Array, "1 D"]:
    """BOS before the first layer."""
    return jnp.asarray(residual.assemble({flag: np.ones((1, 1), dtype) for flag in ("one", "bos")}))


def embed_lines(
    inputs: Float[Array | np.ndarray, "lines S d"],
    answers: Float[Array | np.ndarray, "lines L d"],
    index: Int[Array, "lines"],
    residual: Residual,
) -> Float[Array, "lines n D"]:
    """Lines before the first layer: S inputs, an arrow, L answer words, with these indices."""
    inputs, answers = jnp.asarray(inputs), jnp.asarray(answers)
    lines, S, d = inputs.shape
    flags = line_flags(S, answers.shape[1])
    n, dtype = len(flags), inputs.dtype
    names = {name for here in flags for name in here}
    held = {name: np.array([[name in here] for here in flags], dtype)[None] for name in names}
    parts = held | {
        "x": jnp.concatenate([inputs, jnp.zeros((lines, 1, d), dtype), answers], axis=1),
        "e": position_codes(index, residual.size("e"), dtype)[:, None],
        "s": position_codes(np.arange(n), residual.size("s"), dtype)[None],
    }
    return jnp.asarray(residual.assemble(parts))


def own_rows(batch: LineBatch, index: int) -> Int[np.ndarray, "tokens"]:
    """The rows of a batch's streams that are one prompt's own tokens, and no padding."""
    S, L = batch.inputs.shape[2], batch.answers.shape[2]
    n = S + 1 + L
    told = np.arange(n) >= L - int(batch.said[index])
    real = np.repeat(np.asarray(batch.real[index]), n)
    return np.flatnonzero(np.concatenate([[True], real, told]))


def names(prompt: WordPrompt | VectorPrompt, spec: Spec) -> tuple[str, ...]:
    """Readable names of a prompt's tokens: BOS, x0.0 (example 0, slot 0), ..., arrow0, y0.1, ...,
    y0.L, ..., the query's q0, ..., arrow and the words said, y1, ..."""
    S, L = input_slots(spec), spec.L
    found = ["BOS"]
    for j in range(prompt.examples):
        found += [f"x{j}.{slot}" for slot in range(S)] + [f"arrow{j}"]
        found += [f"y{j}.{place}" for place in range(1, L + 1)]
    query = [f"q{slot}" for slot in range(S)] + ["arrow"]
    return (*found, *query, *(f"y{place}" for place in range(1, len(prompt.prefix) + 1)))


WORDS = Layout(check_words, batch_of_words, embed_words, own_rows, names)
VECTORS = Layout(check_vectors, batch_of_vectors, embed_vectors, own_rows, names)
