"""One compiled program for every shape: a model padded with zeros to the largest of its theorem.

A shape costs a compilation, and random shapes would cost one each. But heads, ranks, coordinates
and tokens that are all zero change nothing: a head whose W_V and W_O are 0 adds 0, a row of 0 in
W_Q and W_K adds 0 to every score, a coordinate that no weight reads is not read, and a token that
is not `real` has the weight exp(-inf) = 0. So a model's matrices are put among zeros into those of
the largest model of its theorem, a prompt's tokens among tokens that are not real, and the
project's own forward code (`construct.evaluate.dense.run` and `read_layer`) runs on these.

To the last bit the same: the embedding, and the answer whatever stands in the padding. A sum with
zeros in it may be added up in another order, so the answer agrees with the model's own to
rounding. `test_padded.py` holds both.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int

import construct.theorem1
import construct.theorem2
import construct.theorem3
from construct import Answer, FeatureMap, Prompt, Spec, Task, Transformer
from construct.answer import answer_of
from construct.evaluate.dense import read_layer, run
from construct.heads import HeadBank
from construct.layers import MLP, Heads, Layer, LayerWeights, MLPWeights, in_dtype
from construct.prompt import Batch, check_prompt, embed
from construct.readout import Readings, Readout
from construct.residual import Residual

# The largest of everything: tasks K, coordinates d and features r, examples m, tokens n of each.
LARGEST = {"K": 24, "d": 24, "features": 24, "m": 40, "n": 8}
# A prompt is padded to the first of these numbers of tokens that holds it: one program each.
LENGTHS = (88, 1 + (LARGEST["m"] + 1) * LARGEST["n"])

# What tokens hold before the first layer, whatever the theorem.
TOKENS = Residual(
    (
        ("x", LARGEST["d"]),
        ("y", LARGEST["d"]),
        *((flag, 1) for flag in ("one", "bos", "inp", "lab", "qry", "sum")),
        ("e", LARGEST["m"].bit_length()),
        ("s", (LARGEST["n"] - 1).bit_length()),
    )
)

BUILDS = {
    1: construct.theorem1.build,
    2: construct.theorem2.build,
    3: construct.theorem3.build,
}


@cache
def largest(theorem: int, dtype: str) -> Transformer:
    """The model into whose matrices all others of its theorem fit; its own weights are not used."""
    d, n = LARGEST["d"], LARGEST["n"]
    tasks = [Task(slot=0, weight=np.roll(np.eye(d), i, axis=0)) for i in range(LARGEST["K"])]
    features = FeatureMap(weight=np.eye(LARGEST["features"], d)) if theorem < 3 else None
    spec = Spec.of(
        tasks,
        m=LARGEST["m"],
        n=n,
        margin=1.0,
        radius=float(n),
        input_radius=float(n),
        feature_map=features,
        dtype=dtype,
        sum_slot=theorem == 1,
    )
    return BUILDS[theorem](spec, tasks, features)


class Embedded(NamedTuple):
    """A prompt before the first layer, padded: its stream, which tokens are real, and in which rows
    the tokens are read: BOS, then group by group, each of the largest n, the query's last."""

    stream: Float[Array | np.ndarray, "N D"]
    real: Bool[Array | np.ndarray, "N"]
    groups: Int[Array | np.ndarray, "rows"]


@dataclass(frozen=True, eq=False)
class Padded:
    """A model of a theorem, run by the program that serves all models of that theorem and dtype.

    The layers are padded when they are first asked for.
    """

    theorem: int
    model: Transformer

    @property
    def common(self) -> Transformer:
        """The largest model of the theorem, which has the common shape."""
        return largest(self.theorem, self.model.spec.dtype)

    @cached_property
    def layers(self) -> list[Layer]:
        """The model's layers in the common shape."""
        into = coordinates(self.model.residual, self.common.residual)
        pairs = zip(self.model.layers, self.common.layers, strict=True)
        with in_dtype(self.model.spec.dtype):
            return [padded_layer(layer, like, into) for layer, like in pairs]

    @cached_property
    def slots(self) -> Int[np.ndarray, "K"]:
        """By task the slot that it reads, 0 for those that are padding."""
        return np.pad(np.array(self.model.slots), (0, LARGEST["K"] - len(self.model.slots)))

    def __call__(self, prompt: Prompt) -> Answer:
        """The answer to a prompt, with the checks and the decoding of a call of the model itself.

        Raises ValueError when the prompt is outside the theorem's hypotheses.
        """
        model = self.model
        check_prompt(model.spec, prompt, "prompt", model.gains.input_radius)
        readings = self.cut(self.read(self.embed(prompt)), prompt.examples)
        found = model.readout.decode(
            model, prompt.labels, "prompt", readings, enforce=True, first=0
        )
        return answer_of(readings.vector, found, model.spec.K, "dense")

    def embed(self, prompt: Prompt, length: int | None = None) -> Embedded:
        """The prompt in the common shape, padded to `length` tokens (None: the first of LENGTHS
        that holds it); padding comes before the query, as the answer token is the last."""
        spec, residual, wide = self.model.spec, self.model.residual, self.common.residual
        if length is None:
            length = next(length for length in LENGTHS if length >= prompt.tokens)
        tokens = tokens_of(prompt, spec)
        rows = np.arange(prompt.tokens)
        rows[-spec.n :] += length - prompt.tokens
        stream = np.zeros((length, wide.dim), spec.dtype)
        for name in set(residual.names) & set(TOKENS.names):
            columns = coordinates(residual, wide, (name,))
            stream[np.ix_(rows, columns)] = tokens[:, TOKENS.where(name)][:, : len(columns)]
        # A group of n tokens is read as one of the largest n, of which the last is its last.
        groups = np.zeros((LARGEST["m"] + 1, LARGEST["n"]), np.int32)
        own = rows[1:].reshape(-1, spec.n)
        for place, part in ((slice(prompt.examples), own[:-1]), (slice(-1, None), own[-1:])):
            groups[place, : spec.n - 1], groups[place, -1] = part[:, :-1], part[:, -1]
        return Embedded(stream, np.isin(np.arange(length), rows), np.append(0, groups))

    def read(self, embedded: Embedded) -> Readings:
        """What is read of the one compiled program, in the common shape."""
        common = self.common
        with in_dtype(self.model.spec.dtype):
            readings = program(
                self.layers,
                embedded,
                self.slots,
                readout=common.readout,
                residual=common.residual,
            )
        return jax.tree.map(np.asarray, readings)

    def cut(self, readings: Readings, examples: int) -> Readings:
        """The part of the readings that is not padding."""
        spec, readout, residual = self.model.spec, self.model.readout, self.model.residual
        codes = {}
        if readout.codes is not None:
            size = residual.size(readout.codes[1])
            codes = {"code": readings.code[:examples, :size], "ok": readings.ok[:examples]}
        groups = np.append(np.arange(examples), -1)
        return Readings(
            vector=readings.vector[: spec.d],
            gap=readings.gap[: spec.K, :examples],
            output_norm=readings.output_norm[: spec.K, groups, : spec.n - 1],
            **codes,
        )


@partial(jax.jit, static_argnames=("readout", "residual"))
def program(
    layers: Iterable[Layer],
    embedded: Embedded,
    slots: Int[Array, "K"],
    *,
    readout: Readout,
    residual: Residual,
) -> Readings:
    """Run an embedded prompt and read it as its stream passes."""
    groups = embedded.groups
    found: dict[str, Array] = {}

    def see(layer: Layer, before: Array, after: Array, seen: None) -> None:
        if layer.name in (readout.layer, *(readout.codes or ())[:1]):
            found.update(
                read_layer(
                    readout, layer, before[groups], after[groups], slots, residual, LARGEST["m"]
                )
            )

    last = run(layers, embedded.stream, embedded.real, see=see)
    return Readings(vector=residual.read(last[-1], "y"), **found)


def tokens_of(prompt: Prompt, spec: Spec) -> Float[np.ndarray, "tokens D"]:
    """A prompt's own tokens, by the subspaces of TOKENS: `construct.prompt.embed`, compiled once.

    It lays out one example more than m, each of the largest n tokens, so that every index has its
    code somewhere; a token that has another index there takes its code from where that stands.
    """
    m, n, d = LARGEST["m"] + 1, LARGEST["n"], LARGEST["d"]
    batch = Batch(np.zeros((m, n - 1, d)), np.zeros((m, d)), np.zeros((n - 1, d)), np.ones(m, bool))
    for part, value in (
        (batch.inputs[:, : spec.n - 1], prompt.inputs),
        (batch.labels, prompt.labels),
        (batch.query[: spec.n - 1], prompt.query),
    ):
        # Rounded to the model's format, as a call does; float64 then holds it exactly.
        part[: len(value), ..., : spec.d] = value.astype(spec.dtype)
    with in_dtype("float64"):
        stream = np.asarray(_embed(batch, TOKENS, 0)[0])
    groups = stream[1:].reshape(m + 1, n, -1)
    e, s, filled = (TOKENS.where(name) for name in ("e", "s", "sum"))
    own = groups[[*range(prompt.examples), -1]][:, [*range(spec.n - 1), -1]]
    own[-1, :, e] = groups[spec.m, 0, e]  # the query's index is m
    own[:, -1, s] = groups[0, spec.n - 1, s]  # a last token's slot is n - 1
    own[:, :, filled] = 0
    if spec.sum_slot:
        own[:, spec.n - 2, filled] = groups[[0] * prompt.examples + [-1], n - 2, filled]
    return np.concatenate([stream[:1], own.reshape(-1, TOKENS.dim)])


_embed = jax.jit(embed, static_argnums=(1, 2))


def coordinates(
    own: Residual, common: Residual, names: Iterable[str] | None = None
) -> Int[np.ndarray, "size"]:
    """Where the coordinates of the named subspaces (None: of all, in order) lie in the common
    stream."""
    return np.concatenate(
        [
            np.arange(common.dim)[common.where(name)][: own.size(name)]
            for name in (own.names if names is None else names)
        ]
    )


def padded_layer(layer: Layer, like: Layer, into: Int[np.ndarray, "D"]) -> Layer:
    """A layer among zeros in the shape of another, whose idle heads are left out; `into`: where its
    coordinates lie there."""
    assert (layer.name, layer.support, layer.causal, layer.many_heads) == (
        (like.name, like.support, like.causal, like.many_heads)
    ), "padding leaves how a layer is run as it is"
    own = {_names(bank): bank for bank in layer.banks if not bank.idle}
    heads = tuple(
        padded_bank(own.pop(_names(bank), None), bank, into) for bank in like.banks if not bank.idle
    )
    assert not own, "every bank that does something has its place"
    mlp = None if like.mlp is None else padded_mlp(layer.mlp, like.mlp, into)
    weights = LayerWeights(
        like.name, heads, like.support, mlp, causal=like.causal, many_heads=like.many_heads
    )
    return Layer(weights)


def padded_bank(own: Heads | None, like: Heads, into: Int[np.ndarray, "D"]) -> HeadBank:
    """A bank (None: one that does nothing) among zeros in the shape of another: each term's rows
    are the first rows of the term of that name."""
    W_Q, W_K, W_V, W_O = (np.zeros(part.shape, part.dtype) for part in _matrices(like))
    if own is not None:
        heads = np.arange(own.count)
        rows = np.concatenate(
            [np.arange(W_Q.shape[1])[like.rows(name)][:size] for name, size in own.terms]
        )
        values = np.arange(own.W_V.shape[1])
        at = [(heads, rows, into)] * 2 + [(heads, values, into), (heads, into, values)]
        for matrix, place, part in zip((W_Q, W_K, W_V, W_O), at, _matrices(own), strict=True):
            matrix[np.ix_(*place)] = part
    return HeadBank(W_Q, W_K, W_V, W_O, terms=like.terms)


def padded_mlp(own: MLP | None, like: MLP, into: Int[np.ndarray, "D"]) -> MLPWeights:
    """An MLP (None: an empty one) among zeros in the shape of another."""
    W_1, W_2 = (np.zeros(part.shape, part.dtype) for part in (like.W_1[...], like.W_2[...]))
    if own is not None:
        rows = np.arange(len(own.W_1[...]))
        W_1[np.ix_(rows, into)], W_2[np.ix_(into, rows)] = own.W_1[...], own.W_2[...]
    return MLPWeights(W_1, W_2)


def _matrices(bank: Heads) -> tuple[Array, ...]:
    return bank.W_Q[...], bank.W_K[...], bank.W_V[...], bank.W_O[...]


def _names(bank: Heads) -> tuple[str, ...]:
    return tuple(name for name, _ in bank.terms)
