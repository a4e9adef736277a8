"""What the trained decoders and SmolLM2 share: prompts as tokens, runs in batches of one length,
answers of several tokens scored in one run."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from verify.bench.subject import PLACES, Change, Run, Slopes
from verify.bench.tasksets import Case, TaskSet
from verify.decoder import CONTEXT, Decoder, Seen, Shape, Touch, look
from verify.posteriors import Said


class Tokens(NamedTuple):
    """A case as tokens. text: of the prompt. places: the tokens that `PLACES` name (the first is
    the last of the prompt). labels: the last token of every label. answers: the tokens of each
    task's answer."""

    text: list[int]
    places: tuple[int, ...]
    labels: tuple[int, ...]
    answers: tuple[list[int], ...]


class Packed(NamedTuple):
    """A case as one sequence of a fixed length: the prompt, then all answers but their last tokens,
    each a segment of its own. rows: `PLACES` and where answers go on; picks (K, longest): for each
    token of an answer the row that predicts it, -1 beyond its end; goals: the token."""

    tokens: Int[np.ndarray, "T"]
    positions: Int[np.ndarray, "T"]
    segments: Int[np.ndarray, "T"]
    rows: Int[np.ndarray, "P"]
    picks: Int[np.ndarray, "K longest"]
    goals: Int[np.ndarray, "K longest"]


def pack(case: Tokens, length: int, longest: int) -> Packed:
    """Lay a case out. longest: of an answer, in tokens."""
    n, K = len(case.text), len(case.answers)
    tokens, positions = list(case.text), list(range(n))
    segments, rows = [CONTEXT] * n, list(case.places)
    picks = np.full((K, longest), -1)
    goals = np.zeros((K, longest), int)
    for i, answer in enumerate(case.answers):
        goals[i, : len(answer)] = answer
        picks[i, 0] = 0
        for j, token in enumerate(answer[:-1]):
            picks[i, j + 1] = len(rows)
            rows.append(len(tokens))
            tokens.append(token)
            positions.append(n + j)
            segments.append(i)
    pad = length - len(tokens)
    rows += [rows[0]] * (len(PLACES) + K * (longest - 1) - len(rows))
    return Packed(
        np.pad(tokens, (0, pad)),
        np.pad(positions, (0, pad)),
        np.pad(segments, (0, pad), constant_values=-2),
        np.array(rows),
        picks,
        goals,
    )


@partial(jax.jit, static_argnames=("shape", "heads"))
def _look(
    weights: dict[str, Array],
    packed: Packed,
    touch: Touch,
    labels: Array,
    *,
    shape: Shape,
    heads: int | None,
) -> tuple[Array, ...]:
    """What a `Run` of a batch holds; heads: the place at which what they write is kept."""

    def one(packed: Packed, touch: Touch) -> tuple[Array, ...]:
        seen = look(
            weights,
            packed.tokens,
            packed.positions,
            packed.segments,
            packed.rows,
            touch,
            shape=shape,
        )
        chances = jax.nn.softmax(seen.logits[0])
        K = len(packed.goals)
        likeliest, tokens = jax.lax.top_k(chances, K)
        last = seen.streams[-1, 0]
        return (
            jnp.exp(log_answers(seen, packed)),
            chances[packed.goals[:, 0]],
            likeliest,
            chances[labels].sum(),
            (labels == tokens[0]).any(),
            seen.streams[:, : len(PLACES)].swapaxes(0, 1),
            seen.heads[:0, 0] if heads is None else seen.heads[:, heads],
            jnp.sqrt(jnp.square(last).mean() + shape.epsilon),
        )

    return jax.vmap(one)(packed, touch)


@partial(jax.jit, static_argnames=("shape",))
def _next(
    weights: dict[str, Array], packed: Packed, touch: Touch, *, shape: Shape
) -> tuple[Array, Array]:
    """The next token's distribution and the answers' probabilities, of a batch."""

    def one(packed: Packed, touch: Touch) -> tuple[Array, Array]:
        where = (packed.tokens, packed.positions, packed.segments, packed.rows)
        seen = look(weights, *where, touch, shape=shape)
        return jax.nn.softmax(seen.logits[0]), jnp.exp(log_answers(seen, packed))

    return jax.vmap(one)(packed, touch)


def log_answers(seen: Seen, packed: Packed) -> Float[Array, "K"]:
    """The log probability of each answer string: the sum of its tokens'."""
    logs = jax.nn.log_softmax(seen.logits)
    found = logs[jnp.maximum(packed.picks, 0), packed.goals]
    return jnp.where(packed.picks >= 0, found, 0.0).sum(-1)


@partial(jax.jit, static_argnames=("shape", "pair"))
def _slopes(weights: dict[str, Array], packed: Packed, touch: Touch, *, shape: Shape, pair):
    def one(packed: Packed, touch: Touch) -> tuple[Array, Array]:
        def difference(keep: Array, add: Array) -> Array:
            seen = look(
                weights,
                packed.tokens,
                packed.positions,
                packed.segments,
                packed.rows,
                touch._replace(keep=keep, add=add),
                shape=shape,
            )
            logs = log_answers(seen, packed)
            return logs[pair[0]] - logs[pair[1]]

        return jax.grad(difference, (0, 1))(touch.keep, touch.add)

    return jax.vmap(one)(packed, touch)


class DecoderSubject:
    """A decoder that can be asked. bucket: lengths are padded to its multiples, so that few
    programs are compiled. batch: prompts of one run."""

    kind = "trained"
    softmax, soft = True, False
    batch, bucket = 25, 8

    def __init__(self, name: str, decoder: Decoder) -> None:
        self.name, self.shape, self.weights = name, decoder.shape, decoder.weights
        self.size = decoder.parameters
        self.layers = tuple(f"layer {i + 1}" for i in range(decoder.shape.layers))
        self.heads = decoder.shape.heads
        self._labels = np.zeros(0, int)

    # What a kind of decoder says of its own.

    def tokens(self, case: Case) -> Tokens:
        """A case as tokens."""
        raise NotImplementedError

    def first_token(self, word: str) -> int:
        """The first token of a word as an answer."""
        raise NotImplementedError

    @property
    def vocabulary(self) -> Sequence[str]:
        """The tokens by number."""
        raise NotImplementedError

    # What all share.

    def prepare(self, tasks: TaskSet, lines: int) -> None:
        """Know the labels of a task set."""
        family = tasks.family
        said = {word for words in family.rows for word in family.answers(words)}
        words = said or set(family.vocabulary)
        self._labels = np.array(sorted({self.first_token(word) for word in words}))

    def zero_shot(self, tasks: TaskSet, case: Case) -> Case:
        """The query alone."""
        return Case((), (), case.query, case.answers)

    def unembed(self, words: Sequence[str]) -> Float[np.ndarray, "Y D"]:
        """Unembedding rows, with the last norm's gain."""
        rows = np.array([self.first_token(word) for word in words])
        name = "embedding" if self.shape.tied else "unembedding"
        return np.asarray(self.weights[name][rows] * self.weights["norm"])

    def run(
        self, cases: Sequence[Case], change: Change | None = None, heads: str | None = None
    ) -> Run:
        """Ask prompts, in batches."""
        place = None if heads is None else PLACES.index(heads)
        parts = []
        each = [self.tokens(case) for case in cases]
        for start, packed, touch in self._batches(each, change):
            found = _look(self.weights, packed, touch, self._labels, shape=self.shape, heads=place)
            count = min(self.batch, len(cases) - start)
            parts.append(Run(*(np.asarray(part)[:count] for part in found)))
        return Run.join(parts)

    def slopes(self, cases: Sequence[Case], pair: tuple[int, int]) -> Slopes:
        """Slopes of the difference of two answers' log probabilities."""
        parts = []
        each = [self.tokens(case) for case in cases]
        for start, packed, touch in self._batches(each, None):
            found = _slopes(self.weights, packed, touch, shape=self.shape, pair=pair)
            count = min(self.batch, len(cases) - start)
            parts.append([np.asarray(part)[:count] for part in found])
        return Slopes(*(np.concatenate(one) for one in zip(*parts, strict=True)))

    def written(self, case: Case) -> list[tuple[int, ...]]:
        """Each task's answer, as tokens."""
        return [tuple(answer) for answer in self.tokens(case).answers]

    def ask(self, prompt: Case, prefixes: Sequence[np.ndarray]) -> list[Said]:
        """The next token's distribution after each prefix, and how likely it is that the rest of
        each task's answer follows. An answer that has been said whole is of its task."""
        case, each, follows = self.tokens(prompt), [], []
        for prefix in prefixes:
            said = prefix.tolist()
            text = case.text + said
            follows.append([answer[: len(said)] == said for answer in case.answers])
            # What follows of no task's answer is asked for any token, and does not count.
            rest = (answer[len(said) :] or [0] for answer in case.answers)
            each.append(Tokens(text, (len(text) - 1,) * len(PLACES), (), tuple(rest)))
        found = []
        for _, packed, touch in self._batches(each, None):
            found.append(_next(self.weights, packed, touch, shape=self.shape))
        chances, rests = (np.concatenate([np.asarray(one[i]) for one in found]) for i in (0, 1))
        said = []
        for prefix, follow, chance, rest in zip(prefixes, follows, chances, rests, strict=False):
            ended = [f and len(a) == len(prefix) for f, a in zip(follow, case.answers, strict=True)]
            posterior = np.where(ended, 1.0, np.where(follow, rest, 0.0))
            said.append(Said(np.where(any(ended), 0.0, chance), posterior))
        return said

    def _batches(self, each: Sequence[Tokens], change: Change | None):
        """Batches of one length: the place of the first case, the cases, and what is changed. The
        last is filled up, so that no program is compiled for it alone; fewer cases than a batch are
        filled up to a power of two."""
        batch = min(self.batch, 1 << (len(each) - 1).bit_length())
        longest = max(len(answer) for one in each for answer in one.answers)
        extra = max(sum(len(a) - 1 for a in one.answers) for one in each)
        length = max(len(one.text) for one in each) + extra
        length += -length % self.bucket
        for start in range(0, len(each), batch):
            part = list(each[start : start + batch])
            part += [part[-1]] * (batch - len(part))
            packed = [pack(one, length, longest) for one in part]
            touch = [
                self._touch(change, one, length, min(start + j, len(each) - 1))
                for j, one in enumerate(part)
            ]
            yield (
                start,
                Packed(*map(np.stack, zip(*packed, strict=True))),
                Touch(*map(np.stack, zip(*touch, strict=True))),
            )

    def _touch(self, change: Change | None, case: Tokens, length: int, index: int) -> Touch:
        change = change or Change()
        L, D = self.shape.layers, self.shape.width
        keep = np.ones((L, self.heads), np.float32) if change.keep is None else change.keep
        at, replace = np.zeros(length, np.float32), np.zeros(L + 1, np.float32)
        vector, add = np.zeros((2, L + 1, D), np.float32)
        at[list(case.labels) if change.target == "labels" else case.places[0]] = 1
        if change.layer is not None and change.vector is not None:
            own = change.vector[index] if change.vector.ndim == 2 else change.vector
            (add if change.add else vector)[change.layer] = own
            replace[change.layer] = 0 if change.add else 1
        return Touch(keep.astype(np.float32), at, replace, vector, add)
