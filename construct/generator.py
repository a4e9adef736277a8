"""The transformer that goes on: the next word, and whole answers, of prompts of words (Theorem
4)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, overload

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from construct import checks
from construct.answer import ABSTAINED, Answer
from construct.evaluate.cache import Banks, Cache, advance, encode, fresh, moving
from construct.evaluate.dense import over_prompts
from construct.layers import Layer, check_x64, in_dtype
from construct.lines import LineBatch, WordBatch, embed_lines, embed_words
from construct.model import Transformer
from construct.prompt import check_count
from construct.readout import Readings, Readout
from construct.residual import Residual
from construct.words import BLANK, WordPrompt, input_slots

DECODINGS = ("sample", "greedy", "superposed")
SAMPLE, SUPERPOSED = DECODINGS.index("sample"), DECODINGS.index("superposed")


@dataclass(frozen=True, eq=False)
class Generation:
    """Answers to one prompt, word by word.

    words (samples, steps): BLANK where nothing was said; None under superposed decoding, where
    every word is a mixture. distributions (samples, steps, d): of each word given the words before
    it; under superposed decoding the soft word that was fed back. What a distribution lacks of 1 is
    the weight of tasks that say nothing there. posterior (samples, steps, K): over the tasks, given
    the words before. probabilities (samples, steps): of each word that was said. recognized,
    prevalence: of the examples, as in an Answer."""

    words: Int[np.ndarray, "samples steps"] | None
    distributions: Float[np.ndarray, "samples steps d"]
    posterior: Float[np.ndarray, "samples steps K"]
    probabilities: Float[np.ndarray, "samples steps"] | None
    recognized: Int[np.ndarray, "m"]
    prevalence: Float[np.ndarray, "K"]

    @property
    def probability(self) -> Float[np.ndarray, "samples"]:
        """Of each answer, the product over its words. Raises ValueError under superposed
        decoding."""
        if self.probabilities is None:
            raise checks.refuse(
                "how", "'superposed'", "says no single answer", "read distributions instead"
            )
        return self.probabilities.prod(1)

    def answers(self, end: int | None = None) -> list[list[int]]:
        """The answers as lists of words, up to where nothing was said or, where there is one,
        before the end-of-answer word. Raises ValueError under superposed decoding."""
        if self.words is None:
            raise checks.refuse(
                "how", "'superposed'", "says no single answer", "read distributions instead"
            )
        found = []
        for row in self.words.tolist():
            stop = next((t for t, word in enumerate(row) if word in (BLANK, end)), len(row))
            found.append(row[:stop])
        return found


class Started(NamedTuple):
    """A prompt up to its query's arrow: what never changes, the line so far, the stream at the
    arrow, and what was recognized."""

    cache: Cache
    line: Banks
    last: Any  # (D,)
    code: Any  # (m, K)
    ok: Any  # (m,)


class Step(NamedTuple):
    """One step of one answer: the word (on vectors: the task), its probability, the next word's
    distribution (the mixture), the posterior; on vectors, the vector that was said."""

    word: Any
    probability: Any
    distribution: Any  # (d,)
    posterior: Any  # (K,)
    said: Any = None  # (d,)


class Said(NamedTuple):
    """What is said after a token: a word or task, BLANK for nothing; its probability; what is fed
    back, by subspace; what of that a caller is told, None where the word tells it."""

    word: Any
    probability: Any
    fed: dict[str, Any]
    told: Any = None


class Generator(Transformer):
    """A transformer of Theorem 4. A call answers with the next word's distribution: `answer.vector`
    is over the d words, `answer.posterior` over the tasks."""

    @property
    def say(self) -> Callable[..., Said]:
        """How a word is said after a token; static and hashable."""
        return say_word

    def next(self, prompt: WordPrompt, prefix: Any = None) -> Answer:
        """The distribution of the next word and the posterior over tasks, after a prefix: words, or
        (t, d) soft words; None: the prompt's own. Raises ValueError for a prompt or prefix outside
        the hypotheses."""
        checks.instance("prompt", prompt, WordPrompt, "for several prompts call the model")
        return self(prompt if prefix is None else prompt.after(prefix))

    @overload
    def generate(
        self,
        prompts: WordPrompt,
        steps: int | None = None,
        how: str = "sample",
        *,
        key: Any = None,
        samples: int = 1,
    ) -> Generation: ...

    @overload
    def generate(
        self,
        prompts: Sequence[WordPrompt],
        steps: int | None = None,
        how: str = "sample",
        *,
        key: Any = None,
        samples: int = 1,
    ) -> list[Generation]: ...

    def generate(
        self,
        prompts: WordPrompt | Sequence[WordPrompt],
        steps: int | None = None,
        how: str = "sample",
        *,
        key: Any = None,
        samples: int = 1,
    ) -> Generation | list[Generation]:
        """Answer a prompt, or each of several, word by word. The examples are run once, every word
        alone.

        steps: words, 1..L (None: L). how: 'sample' draws each word from its distribution; 'greedy'
        takes the likeliest, the first of equals; 'superposed' feeds the distribution itself back,
        so that no task is left behind. key: a JAX key or a seed, for 'sample'. samples: answers a
        prompt under 'sample'; the others are determined, and give one. An answer ends where nothing
        is said: by then no task that it could be of has a word. Raises ValueError for a request
        that makes no sense, or a prompt outside the hypotheses or that has a prefix."""
        if not isinstance(prompts, Sequence):
            return self._generated([prompts], steps, how, key, samples)[0]
        return self._generated(prompts, steps, how, key, samples)

    def _generated(
        self, prompts: Sequence[Any], steps: int | None, how: str, key: Any, samples: int
    ) -> list[Any]:
        """What each prompt is answered with, as `_generation` tells it."""
        spec = self.spec
        steps = spec.L if steps is None else checks.integer("steps", steps, 1, "say a word")
        if steps > spec.L:
            raise checks.refuse(
                "steps", steps, f"must be at most L = {spec.L}, the words of an answer", "lower it"
            )
        samples, drawing = self._keys(how, key, checks.integer("samples", samples, 1, "draw one"))
        for i, prompt in enumerate(prompts):
            name = f"prompts[{i}]"
            self.readout.layout.check(spec, prompt, name, self.gains.input_radius)
            if len(prompt.prefix):
                raise checks.refuse(
                    f"{name}.prefix",
                    f"{len(prompt.prefix)} words",
                    "an answer is generated from its first word on",
                    "ask for the word after a prefix with next(prompt, prefix)",
                )
        if not prompts:
            return []
        with in_dtype(spec.dtype):
            batch = self.readout.layout.batch_of(prompts, spec)
            started = _start(
                self.layers,
                batch,
                readout=self.readout,
                residual=self.residual,
                m=spec.m,
                moves=moving(self),
            )
            # Drawn by prompt, and up to a power of two: few shapes compile.
            drawn = jax.random.split(drawing, (len(batch.query), 1 << (samples - 1).bit_length()))
            said = _answers(
                self.layers,
                started,
                jnp.array(DECODINGS.index(how)),
                drawn,
                residual=self.residual,
                m=spec.m,
                steps=steps,
                say=self.say,
            )
        code, ok, said = jax.tree.map(np.asarray, (started.code, started.ok, said))
        return [
            self._generation(
                prompt,
                how,
                jax.tree.map(lambda part, i=i: part[i, :samples], said),
                code[i],
                ok[i],
            )
            for i, prompt in enumerate(prompts)
        ]

    def _keys(self, how: str, key: Any, samples: int) -> tuple[int, Array]:
        """How many answers, and the key to draw them by."""
        if how not in DECODINGS:
            raise checks.refuse(
                "how", repr(how), f"must be one of {', '.join(DECODINGS)}", "leave it out to sample"
            )
        if how != "sample":
            if samples != 1:
                raise checks.refuse(
                    "samples", samples, f"{how!r} decoding gives one answer", "leave it out"
                )
            return 1, jax.random.key(0)
        if key is None:
            raise checks.refuse(
                "key", None, "sampling needs a JAX key or a seed", "pass key=0, or how='greedy'"
            )
        if isinstance(key, (int, np.integer)) or not isinstance(key, jax.Array):
            key = jax.random.key(checks.integer("key", key, 0, "a seed is at least 0"))
        return samples, key

    def _generation(
        self, prompt: WordPrompt, how: str, said: Step, code: np.ndarray, ok: np.ndarray
    ) -> Generation:
        recognized, prevalence = self._recognized(prompt, code, ok)
        hard = how != "superposed"
        return Generation(
            words=said.word if hard else None,
            distributions=said.distribution,
            posterior=said.posterior,
            probabilities=said.probability if hard else None,
            recognized=recognized,
            prevalence=prevalence,
        )

    def _recognized(
        self, prompt: Any, code: np.ndarray, ok: np.ndarray
    ) -> tuple[Int[np.ndarray, "m"], Float[np.ndarray, "K"]]:
        """The task of each example, and the share of each task."""
        readings = Readings(None, code=code, ok=ok)
        recognized = self.readout.decode(
            self, prompt.labels, "prompt", readings, enforce=True, first=0
        )
        counts = np.bincount(recognized[recognized != ABSTAINED], minlength=self.spec.K)
        return recognized, counts / max(counts.sum(), 1)

    def embed(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        inputs: Float[ArrayLike, "m S d"],
        answers: Float[ArrayLike, "m L d"],
        query: Float[ArrayLike, "S d"],
        prefix: Float[ArrayLike, "t d"] | None = None,
    ) -> tuple[Float[Array, "N D"], Bool[Array, "N"]]:
        """The residual stream of one prompt before the first layer, and which rows are real: as for
        other theorems, of words as vectors (`construct.words.one_hot`). jax.vmap takes batches."""
        check_x64(self.spec.dtype)
        x, y, q = (jnp.asarray(part, self.spec.dtype) for part in (inputs, answers, query))
        said = jnp.zeros((0, x.shape[-1])) if prefix is None else jnp.asarray(prefix)
        self._check_shapes(x, y, q, said)
        t, L = len(said), y.shape[-2]
        padded = jnp.pad(said.astype(x.dtype), [(0, L - t), (0, 0)])
        batch = WordBatch(x, y, q, padded, jnp.ones(len(x), bool), jnp.array(t))
        return embed_words(batch, self.residual, self.spec.m)

    def _check_shapes(self, x: Array, y: Array, q: Array, said: Array) -> None:
        """Refuse arrays that are no prompt of this Spec."""
        spec, S = self.spec, self.inputs_per_line
        count = check_count(spec, x, 3)
        checks.shape("inputs", x, (count, S, spec.d), "(m', S, d)")
        checks.shape("answers", y, (count, spec.L, spec.d), "(m', L, d)")
        checks.shape("query", q, (S, spec.d), "(S, d)")
        checks.shape("prefix", said, (min(len(said), spec.L), spec.d), "(t, d), t up to L")

    @property
    def inputs_per_line(self) -> int:
        """S, the input words of a line."""
        return input_slots(self.spec)


@partial(jax.jit, static_argnames=("readout", "residual", "m", "moves"))
def _start(
    layers: Iterable[Layer],
    batch: LineBatch,
    *,
    readout: Readout,
    residual: Residual,
    m: int,
    moves: tuple[tuple[bool, ...], ...],
) -> Started:
    """Run the examples of a batch of prompts, and of each query's line the inputs and the arrow."""
    layers = list(layers)
    assert readout.codes is not None
    decided, code = readout.codes

    def one(prompt: LineBatch) -> Started:
        stream, real = readout.layout.embed(prompt._replace(said=jnp.array(0)), residual, m)
        examples, S, _ = prompt.inputs.shape
        n, found = S + 1 + prompt.answers.shape[1], {}

        def see(layer: Layer, after: Array) -> None:
            if layer.name == decided:
                last = after[1:].reshape(examples, n, -1)[:, -1]
                found["code"] = residual.read(last, code)
                found["ok"] = residual.read(last, "ok")[:, 0]

        cache = encode(layers, stream[:-n], real[:-n], moves, see)
        tokens, held = advance(layers, cache, fresh(cache, n), stream[-(S + 1) :], 0)
        return Started(cache, held, tokens[-1], **found)

    scores = max(layer.heads for layer in layers) * batch.tokens**2 * batch.inputs.dtype.itemsize
    return over_prompts(one, batch, scores)


@partial(jax.jit, static_argnames=("residual", "m", "steps", "say"))
def _answers(
    layers: Iterable[Layer],
    started: Started,
    how: Int[Array, ""],
    keys: Array,
    *,
    residual: Residual,
    m: int,
    steps: int,
    say: Callable[..., Said],
) -> Step:
    """The answers to started prompts: by prompt and key, the steps."""
    layers, d = list(layers), residual.size("x")
    S = residual.size("own") // d
    L = sum(name.startswith("a") for name in residual.names) - 1
    blank = jnp.zeros((1, S, d)), jnp.zeros((1, L, d)), jnp.array([m])
    line = embed_lines(*blank, residual)[0].astype(started.last.dtype)

    def answer(one: Started, key: Array) -> Step:
        def step(state: tuple, t_and_key: tuple) -> tuple[tuple, Step]:
            held, last, ended = state
            t, key = t_and_key
            distribution = jnp.where(ended, 0, residual.read(last, "y"))
            posterior = jnp.where(ended, 0, residual.read(last, "omega"))
            said = say(layers[-1], residual, last, distribution, posterior, m, how, key)
            ended = ended | ((said.word == BLANK) & (how != SUPERPOSED))
            token = line[S + 1 + t]
            for name, value in said.fed.items():
                token = residual.replace(token, name, value)
            after, held = advance(layers, one.cache, held, token[None], S + 1 + t)
            done = Step(said.word, said.probability, distribution, posterior, said.told)
            return (held, after[0], ended), done

        state = (one.line, one.last, jnp.array(False))
        return jax.lax.scan(step, state, (jnp.arange(steps), jax.random.split(key, steps)))[1]

    return jax.vmap(jax.vmap(answer, (None, 0)))(started, keys)


def chosen(
    weights: Float[Array, "choices"], m: int, how: Int[Array, ""], key: Array
) -> tuple[Int[Array, ""], Float[Array, ""]]:
    """One of several choices, drawn or the likeliest, and its probability; BLANK where the weights
    lack of 1 what a task would have."""
    # A task with evidence has a posterior of 1/m at least: what is missing of 1 is as much, or an
    # error.
    nothing = 1 - weights.sum()
    every = jnp.append(weights, jnp.where(nothing > 1 / (2 * m), nothing, 0))
    drawn = jax.random.categorical(key, jnp.log(every))
    index = jnp.where(how == SAMPLE, drawn, every.argmax())
    return jnp.where(index == len(weights), BLANK, index), every[index]


def say_word(
    layer: Layer,
    residual: Residual,
    last: Float[Array, "D"],
    distribution: Float[Array, "d"],
    posterior: Float[Array, "K"],
    m: int,
    how: Int[Array, ""],
    key: Array,
) -> Said:
    """A word of the distribution; under superposed decoding the distribution itself is fed back."""
    word, probability = chosen(distribution, m, how, key)
    hard = (word == jnp.arange(len(distribution))).astype(distribution.dtype)
    return Said(word, probability, {"x": jnp.where(how == SUPERPOSED, distribution, hard)})
