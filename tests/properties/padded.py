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

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any, NamedTuple

import jax
import jaxtyping
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from construct import Answer, FeatureMap, Prompt, Spec, Task, theorem1, theorem2, theorem3
from construct.evaluate.dense import read_layer, run
from construct.heads import HeadBank
from construct.layers import Layer, LayerWeights, MLPWeights, Stack, in_dtype
from construct.prompt import Batch, check_prompt, embed
from construct.readout import Readings
from construct.residual import Residual
from construct.theorem1.stream import residual_stream as stream1
from construct.theorem2.stream import residual_stream as stream2
from construct.theorem3.stream import residual_stream as stream3

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

# By theorem: its layers' modules, its gains, its residual stream, what is read of it.
PARTS = {
    1: (theorem1.SEVEN, theorem1.derive, stream1, theorem1.READOUT),
    2: (theorem2.THREE, theorem2.derive, stream2, theorem2.READOUT),
    3: (theorem3.FIVE, theorem3.derive, stream3, theorem3.READOUT),
}

# (theorem, dtype, tokens) of every program that was compiled.
compiled: list[tuple[int, str, int]] = []


@contextmanager
def unchecked() -> Iterator[None]:
    """Annotations are not checked: a layer's constructor calls thousands of small functions, and
    checking these takes longer than all else. Every other test that builds a model checks them."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


@cache
def largest(theorem: int, dtype: str) -> "Padded":
    """The model among whose matrices all others of its theorem find their place; its own weights
    are not used."""
    d, n = LARGEST["d"], LARGEST["n"]
    tasks = [Task(slot=0, weight=np.roll(np.eye(d), i, axis=0)) for i in range(LARGEST["K"])]
    features = None if theorem == 3 else FeatureMap(weight=np.eye(LARGEST["features"], d))
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
    return padded(theorem, spec, tasks, features)


def padded(
    theorem: int, spec: Spec, tasks: Sequence[Task], feature_map: FeatureMap | None = None
) -> "Padded":
    """The model of these tasks, as `construct.theoremN.build` makes it but for the checks of its
    arguments. Raises Infeasible, as that does."""
    modules, derive, residual_stream, readout = PARTS[theorem]
    tasks = list(tasks)
    with unchecked():
        gains, residual = derive(spec), residual_stream(spec)
        given = (spec, gains, residual, tasks, *([] if theorem == 3 else [feature_map]))
        layers = tuple(module.layer(*given) for module in modules)
        stack = Stack(spec, residual, (), gains, tuple(task.slot for task in tasks), readout)
    return Padded(theorem, stack, layers)


# The matrices of a layer's banks and then of its MLP, by name.
Matrices = list[dict[str, Any]]
# What names the terms of heads that do nothing.
IDLE = ("idle",)


class Embedded(NamedTuple):
    """A prompt before the first layer, padded: its stream, which tokens are real, and in which rows
    the tokens are read: BOS, then group by group, each of the largest n, the query's last."""

    stream: Float[Array | np.ndarray, "N D"]
    real: Bool[Array | np.ndarray, "N"]
    groups: Int[Array | np.ndarray, "rows"]


@dataclass(frozen=True, eq=False)
class Padded:
    """A model of a theorem, run by the program that serves all models of that theorem and dtype.

    stack: what an evaluator must know of the model besides its layers. layers: the model's own
    weights; `weights` holds them among zeros.
    """

    theorem: int
    stack: Stack
    layers: tuple[LayerWeights, ...]

    @property
    def common(self) -> "Padded":
        """The largest model of the theorem, which has the common shape."""
        return largest(self.theorem, self.stack.spec.dtype)

    @cached_property
    def weights(self) -> list[Matrices]:
        """By layer, the model's matrices in the common shape, without idle heads."""
        into = coordinates(self.stack.residual, self.common.stack.residual)
        pairs = zip(self.layers, self.common.layers, strict=True)
        return [padded_layer(layer, like, into) for layer, like in pairs]

    @cached_property
    def slots(self) -> Int[np.ndarray, "K"]:
        """By task the slot that it reads, 0 for those that are padding."""
        return np.pad(np.array(self.stack.slots), (0, LARGEST["K"] - len(self.stack.slots)))

    def __call__(self, prompt: Prompt) -> Answer:
        """The answer to a prompt, with the checks and the decoding of a call of the model itself.

        Raises ValueError when the prompt is outside the theorem's hypotheses.
        """
        stack = self.stack
        check_prompt(stack.spec, prompt, "prompt", stack.gains.input_radius)
        readings = self.cut(self.read(self.embed(prompt)), prompt.examples)
        found = stack.readout.decode(
            stack, prompt.labels, "prompt", readings, enforce=True, first=0
        )
        return Answer(readings.vector, found, stack.spec.K, "dense")

    def embed(self, prompt: Prompt, length: int | None = None) -> Embedded:
        """The prompt in the common shape, padded to `length` tokens (None: the first of LENGTHS
        that holds it); padding comes before the query, as the answer token is the last."""
        spec, residual = self.stack.spec, self.stack.residual
        wide = self.common.stack.residual
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
        dtype = self.stack.spec.dtype
        with in_dtype(dtype):
            readings = program(
                self.weights, embedded, self.slots, theorem=self.theorem, dtype=dtype
            )
        return jax.tree.map(np.asarray, readings)

    def cut(self, readings: Readings, examples: int) -> Readings:
        """The part of the readings that is not padding."""
        spec, readout, residual = self.stack.spec, self.stack.readout, self.stack.residual
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


@partial(jax.jit, static_argnames=("theorem", "dtype"))
def program(
    weights: list[Matrices],
    embedded: Embedded,
    slots: Int[Array, "K"],
    *,
    theorem: int,
    dtype: str,
) -> Readings:
    """Run an embedded prompt through layers of these matrices, and read it as its stream passes."""
    compiled.append((theorem, dtype, len(embedded.stream)))  # said once a compilation
    common, groups = largest(theorem, dtype), embedded.groups
    readout, residual = common.stack.readout, common.stack.residual
    read = {readout.layer} | ({readout.codes[0]} if readout.codes else set())
    found: dict[str, Array] = {}

    def see(layer: Layer, before: Array, after: Array) -> None:
        if layer.name in read:
            both = before[groups], after[groups]
            found.update(read_layer(readout, layer, *both, slots, residual, LARGEST["m"]))

    layers = [filled(layer, given) for layer, given in zip(common.layers, weights, strict=True)]
    last = run(layers, embedded.stream, embedded.real, see=see)
    return Readings(vector=residual.read(last[-1], "y"), **found)


def filled(like: LayerWeights, weights: Matrices) -> Layer:
    """The module of a layer, with other matrices of the same shapes; idle heads are left out."""
    layer = Layer(like)
    layer.banks = nnx.List([bank for bank in layer.banks if not bank.idle])
    parts = [*layer.banks, *([] if layer.mlp is None else [layer.mlp])]
    for part, matrices in zip(parts, weights, strict=True):
        for name, matrix in matrices.items():
            setattr(part, name, nnx.Param(matrix))
    return layer


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


def padded_layer(layer: LayerWeights, like: LayerWeights, into: Int[np.ndarray, "D"]) -> Matrices:
    """The matrices of a layer's banks and MLP among zeros in the shapes of another's; `into`: where
    its coordinates lie there."""
    assert (layer.name, layer.support, layer.causal, layer.many_heads) == (
        (like.name, like.support, like.causal, like.many_heads)
    ), "padding leaves how a layer is run as it is"
    own = {names(bank): bank for bank in layer.heads if names(bank) != IDLE}
    matrices = [
        padded_bank(own.pop(names(bank), None), bank, into)
        for bank in like.heads
        if names(bank) != IDLE
    ]
    assert not own, "every bank that does something has its place"
    return matrices + ([] if like.mlp is None else [padded_mlp(layer.mlp, like.mlp, into)])


def padded_bank(
    own: HeadBank | None, like: HeadBank, into: Int[np.ndarray, "D"]
) -> dict[str, np.ndarray]:
    """A bank (None: one that does nothing) among zeros in the shape of another: each term's rows
    are the first rows of the term of that name."""
    matrices = {name: np.zeros_like(getattr(like, name)) for name in ("W_Q", "W_K", "W_V", "W_O")}
    if own is not None:
        heads, values = np.arange(len(own.W_V)), np.arange(own.W_V.shape[1])
        first = np.cumsum([0, *(size for _, size in like.terms)])
        rows = np.concatenate(
            [start + np.arange(size) for start, (_, size) in zip(first, own.terms, strict=False)]
        )
        scores, read, write = (heads, rows, into), (heads, values, into), (heads, into, values)
        for name, place in {"W_Q": scores, "W_K": scores, "W_V": read, "W_O": write}.items():
            matrices[name][np.ix_(*place)] = getattr(own, name)
    return matrices


def padded_mlp(
    own: MLPWeights | None, like: MLPWeights, into: Int[np.ndarray, "D"]
) -> dict[str, np.ndarray]:
    """An MLP (None: an empty one) among zeros in the shape of another."""
    matrices = {name: np.zeros_like(getattr(like, name)) for name in ("W_1", "W_2")}
    if own is not None:
        rows = np.arange(len(own.W_1))
        matrices["W_1"][np.ix_(rows, into)] = own.W_1
        matrices["W_2"][np.ix_(into, rows)] = own.W_2
    return matrices


def names(bank: HeadBank) -> tuple[str, ...]:
    """The names of a bank's terms, which tell which bank it is."""
    return tuple(name for name, _ in bank.terms)
