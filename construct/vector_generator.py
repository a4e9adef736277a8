"""The transformer that goes on, on prompts of unit vectors (Theorem 4's second version)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, overload

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from construct import checks
from construct.answer import Answer
from construct.evaluate.dense import transform
from construct.generator import SUPERPOSED, Generator, Said, Step, chosen
from construct.layers import Layer, check_x64
from construct.lines import VectorBatch, embed_vectors
from construct.residual import Residual
from construct.vectors import VectorPrompt


@dataclass(frozen=True, eq=False)
class VectorGeneration:
    """Answers to one prompt, vector by vector.

    tasks (samples, steps): the task whose vector was said, BLANK where nothing was; None under
    superposed decoding. vectors (samples, steps, d): what was said and fed back. mixtures (samples,
    steps, d): the mean over the posterior at each step, given the vectors before. posterior
    (samples, steps, K). probabilities (samples, steps): of each task that was drawn, None under
    superposed decoding. recognized, prevalence: of the examples, as in an Answer."""

    tasks: Int[np.ndarray, "samples steps"] | None
    vectors: Float[np.ndarray, "samples steps d"]
    mixtures: Float[np.ndarray, "samples steps d"]
    posterior: Float[np.ndarray, "samples steps K"]
    probabilities: Float[np.ndarray, "samples steps"] | None
    recognized: Int[np.ndarray, "m"]
    prevalence: Float[np.ndarray, "K"]


def say_vector(
    layer: Layer,
    residual: Residual,
    last: Float[Array, "D"],
    mixture: Float[Array, "d"],
    posterior: Float[Array, "K"],
    m: int,
    how: Int[Array, ""],
    key: Array,
) -> Said:
    """The vector of a task that is drawn from the posterior: what the last layer's MLP makes of a
    posterior of that task alone. Under superposed decoding the mixture itself is fed back."""
    task, probability = chosen(posterior, m, how, key)
    alone = (task == jnp.arange(len(posterior))).astype(posterior.dtype)
    before = residual.replace(last, "y", jnp.zeros_like(mixture))
    after = transform(layer, residual.replace(before, "omega", alone)[None])[0]
    soft = how == SUPERPOSED
    said = jnp.where(soft, mixture, residual.read(after, "y"))
    return Said(task, probability, {"x": said, "soft": soft[None].astype(said.dtype)}, said)


class VectorGenerator(Generator):
    """A transformer of Theorem 4 on vectors. A call answers with the mean over the tasks that could
    go on: `answer.vector` is sum_i omega_i g_i, `answer.posterior` is omega."""

    @property
    def say(self) -> Callable[..., Said]:
        """How a vector is said after a token."""
        return say_vector

    def next(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, prompt: VectorPrompt, prefix: Any = None, soft: bool = False
    ) -> Answer:
        """The mean next vector and the posterior over tasks, after a prefix of (t, d) vectors, or
        with `soft` of mixtures; None: the prompt's own. Raises ValueError for a prompt or prefix
        outside the hypotheses."""
        checks.instance("prompt", prompt, VectorPrompt, "for several prompts call the model")
        return self(prompt if prefix is None else prompt.after(prefix, soft))

    @overload
    def generate(
        self,
        prompts: VectorPrompt,
        steps: int | None = None,
        how: str = "sample",
        *,
        key: Any = None,
        samples: int = 1,
    ) -> VectorGeneration: ...

    @overload
    def generate(
        self,
        prompts: Sequence[VectorPrompt],
        steps: int | None = None,
        how: str = "sample",
        *,
        key: Any = None,
        samples: int = 1,
    ) -> list[VectorGeneration]: ...

    def generate(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        prompts: VectorPrompt | Sequence[VectorPrompt],
        steps: int | None = None,
        how: str = "sample",
        *,
        key: Any = None,
        samples: int = 1,
    ) -> VectorGeneration | list[VectorGeneration]:
        """Answer a prompt, or each of several, vector by vector; as `Generator.generate`, but that
        'sample' draws a task from the posterior and says its vector, and 'greedy' says that of the
        likeliest task."""
        if not isinstance(prompts, Sequence):
            return self._generated([prompts], steps, how, key, samples)[0]
        return self._generated(prompts, steps, how, key, samples)

    def _generation(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, prompt: VectorPrompt, how: str, said: Step, code: np.ndarray, ok: np.ndarray
    ) -> VectorGeneration:
        recognized, prevalence = self._recognized(prompt, code, ok)
        hard = how != "superposed"
        return VectorGeneration(
            tasks=said.word if hard else None,
            vectors=said.said,
            mixtures=said.distribution,
            posterior=said.posterior,
            probabilities=said.probability if hard else None,
            recognized=recognized,
            prevalence=prevalence,
        )

    def embed(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        inputs: Float[ArrayLike, "m S d"],
        answers: Float[ArrayLike, "m L d"],
        query: Float[ArrayLike, "S d"],
        prefix: Float[ArrayLike, "t d"] | None = None,
        soft: bool = False,
    ) -> tuple[Float[Array, "N D"], Bool[Array, "N"]]:
        """The residual stream of one prompt before the first layer, and which rows are real: as on
        words. soft: the prefix is of mixtures."""
        check_x64(self.spec.dtype)
        x, y, q = (jnp.asarray(part, self.spec.dtype) for part in (inputs, answers, query))
        said = jnp.zeros((0, x.shape[-1])) if prefix is None else jnp.asarray(prefix)
        self._check_shapes(x, y, q, said)
        t, L = len(said), y.shape[-2]
        padded = jnp.pad(said.astype(x.dtype), [(0, L - t), (0, 0)])
        batch = VectorBatch(x, y, q, padded, jnp.ones(len(x), bool), jnp.array(t), jnp.array(soft))
        return embed_vectors(batch, self.residual, self.spec.m)
