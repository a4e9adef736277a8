"""A decoder of the Llama family: what the trained subjects are, and SmolLM2.

RMS norms, rotary positions, grouped keys and values, gated MLPs. The layers are stacked arrays that
`jax.lax.scan` walks, so that thirty layers compile as fast as one. What an experiment changes is
data and not code (`Touch`): any prompt, patch and ablation of one length runs the same program, and
JAX can differentiate by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

Leaf = Array | np.ndarray  # traced, or on the host

CONTEXT = -1  # the segment that every token sees


@dataclass(frozen=True)
class Shape:
    """The sizes of a decoder. kv_heads: heads of keys and values, each shared by heads / kv_heads
    query heads. hidden: width of the gated MLP. scale: what embeddings are multiplied by. tied: the
    unembedding is the embedding. base: of the rotary angles. epsilon: of the norms."""

    layers: int
    width: int
    heads: int
    vocabulary: int
    hidden: int
    kv_heads: int = 0
    scale: float = 1.0
    tied: bool = False
    base: float = 10_000.0
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        if not self.kv_heads:
            object.__setattr__(self, "kv_heads", self.heads)

    @property
    def head_width(self) -> int:
        """The width of one head."""
        return self.width // self.heads


class Touch(NamedTuple):
    """What is changed in a run of one prompt. keep (L, H): factors of the heads' outputs, at all
    tokens; 0 ablates. at (T,): 1 at the tokens where the stream is changed. replace (L+1,): 1 where
    the stream after the embedding and each layer is replaced there by vector (L+1, D). add
    (L+1, D): what is added there."""

    keep: Float[Leaf, "L H"]
    at: Float[Leaf, "T"]
    replace: Float[Leaf, "L1"]
    vector: Float[Leaf, "L1 D"]
    add: Float[Leaf, "L1 D"]


def touched(x: Array, at: Leaf, replace: Leaf, vector: Leaf, add: Leaf) -> Array:
    """The stream of one prompt after its changes at one layer."""
    return x + at[:, None] * (replace * (vector - x) + add)


class Seen(NamedTuple):
    """What a run shows at the chosen tokens. logits (P, V); streams (L+1, P, D): after the
    embedding and after each layer; heads (L, P, H, D): what each head writes there."""

    logits: Float[Array, "P V"]
    streams: Float[Array, "L1 P D"]
    heads: Float[Array, "L P H D"]


class Decoder(nnx.Module):
    """The weights. Stacked by layer: q (L, D, H h), k and v (L, D, G h), o (L, H h, D), gate and up
    (L, D, F), down (L, F, D), attention_norm and mlp_norm (L, D); beside them embedding (V, D),
    norm (D) and, unless tied, unembedding (V, D)."""

    def __init__(self, shape: Shape, weights: Mapping[str, Leaf]) -> None:
        self.shape = shape
        for name, value in weights.items():
            setattr(self, name, nnx.Param(jnp.asarray(value)))

    @classmethod
    def random(cls, shape: Shape, seed: int) -> "Decoder":
        """Random weights: variance 1 / inputs, and what is added to the stream also / 2L."""
        rng = np.random.default_rng(seed)
        L, D, F = shape.layers, shape.width, shape.hidden
        keys = shape.kv_heads * shape.head_width

        def normal(*size: int, inputs: int, deep: int = 1) -> np.ndarray:
            return (rng.standard_normal(size) / np.sqrt(inputs * deep)).astype(np.float32)

        weights = {
            "q": normal(L, D, D, inputs=D),
            "k": normal(L, D, keys, inputs=D),
            "v": normal(L, D, keys, inputs=D),
            "o": normal(L, D, D, inputs=D, deep=2 * L),
            "gate": normal(L, D, F, inputs=D),
            "up": normal(L, D, F, inputs=D),
            "down": normal(L, F, D, inputs=F, deep=2 * L),
            "attention_norm": np.ones((L, D), np.float32),
            "mlp_norm": np.ones((L, D), np.float32),
            "norm": np.ones(D, np.float32),
            # Small, and scaled up in the pass: Adam then moves embeddings faster than matrices.
            "embedding": 0.4 / shape.scale * normal(shape.vocabulary, D, inputs=1),
        }
        if not shape.tied:
            weights["unembedding"] = normal(shape.vocabulary, D, inputs=D)
        return cls(shape, weights)

    @property
    def weights(self) -> dict[str, Array]:
        """The weights as arrays by name."""
        return {name: value[...] for name, value in nnx.state(self, nnx.Param).items()}  # pyright: ignore

    @property
    def parameters(self) -> int:
        """How many numbers the weights are."""
        return sum(value.size for value in self.weights.values())


def rms(x: Float[Array, "... D"], gain: Float[Array, "D"], epsilon: float) -> Array:
    """x over its root mean square, times the gain."""
    return x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + epsilon) * gain


def rotate(x: Float[Array, "h T w"], angles: Float[Array, "T half"]) -> Array:
    """Rotary positions: the two halves of a head's coordinates turn as pairs."""
    first, second = jnp.split(x, 2, -1)
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], -1)


def angles_of(positions: Int[Array, "T"], shape: Shape) -> Float[Array, "T half"]:
    """The rotary angles of positions."""
    half = shape.head_width // 2
    return positions[:, None] * shape.base ** (-jnp.arange(half) / half)


def attention(
    x: Float[Array, "T D"],
    w: dict[str, Array],
    shape: Shape,
    angles: Float[Array, "T half"],
    visible: Array,
) -> Float[Array, "T H h"]:
    """What the heads of a layer gather, before W_O."""
    T = len(x)
    x = rms(x, w["attention_norm"], shape.epsilon)
    q, k, v = (
        (x @ w[name]).reshape(T, heads, shape.head_width).swapaxes(0, 1)
        for name, heads in (("q", shape.heads), ("k", shape.kv_heads), ("v", shape.kv_heads))
    )
    q, k = rotate(q, angles), rotate(k, angles)
    shared = shape.heads // shape.kv_heads
    k, v = jnp.repeat(k, shared, 0), jnp.repeat(v, shared, 0)
    scores = q @ k.swapaxes(1, 2) / np.sqrt(shape.head_width)
    pattern = jax.nn.softmax(jnp.where(visible, scores, -1e9), -1)
    return (pattern @ v).swapaxes(0, 1)


def mlp(x: Float[Array, "T D"], w: dict[str, Array], shape: Shape) -> Float[Array, "T D"]:
    """What the gated MLP adds."""
    x = rms(x, w["mlp_norm"], shape.epsilon)
    return (jax.nn.silu(x @ w["gate"]) * (x @ w["up"])) @ w["down"]


OUTSIDE = ("embedding", "norm", "unembedding")  # the weights that are no layer's


def logits_of(
    weights: dict[str, Array], tokens: Int[Array, "T"], shape: Shape, rows: slice | np.ndarray
) -> Float[Array, "P V"]:
    """The logits of one sequence at some tokens; nothing is changed or kept: what training runs."""
    layers = {name: value for name, value in weights.items() if name not in OUTSIDE}
    T = len(tokens)
    angles = angles_of(jnp.arange(T), shape)
    visible = jnp.tril(jnp.ones((T, T), bool))

    def layer(x: Array, w: dict[str, Array]) -> tuple[Array, None]:
        x = x + attention(x, w, shape, angles, visible).reshape(T, -1) @ w["o"]
        return x + mlp(x, w, shape), None

    x, _ = jax.lax.scan(layer, weights["embedding"][tokens] * shape.scale, layers)
    unembedding = weights["embedding" if shape.tied else "unembedding"]
    return rms(x[rows], weights["norm"], shape.epsilon) @ unembedding.T


@partial(jax.jit, static_argnames=("shape",))
def look(
    weights: dict[str, Array],
    tokens: Int[Array, "T"],
    positions: Int[Array, "T"],
    segments: Int[Array, "T"],
    rows: Int[Array, "P"],
    touch: Touch,
    *,
    shape: Shape,
) -> Seen:
    """Run one sequence and show what is at the tokens `rows`.

    A token sees those before it that are of its own segment or of the context; several answers can
    then follow one prompt in one run, each at its own positions.
    """
    layers = {name: value for name, value in weights.items() if name not in OUTSIDE}
    T = len(tokens)
    angles = angles_of(positions, shape)
    seen = (segments[None] == CONTEXT) | (segments[None] == segments[:, None])
    visible = jnp.tril(jnp.ones((T, T), bool)) & seen

    def layer(x: Array, one: tuple) -> tuple[Array, tuple[Array, Array]]:
        w, keep, *changes = one
        gathered = attention(x, w, shape, angles, visible) * keep[:, None]
        o = w["o"].reshape(shape.heads, shape.head_width, shape.width)
        written = jnp.einsum("phv,hvd->phd", gathered[rows], o)
        x = x + gathered.reshape(T, -1) @ w["o"]
        x = touched(x + mlp(x, w, shape), touch.at, *changes)
        return x, (x[rows], written)

    x = weights["embedding"][tokens] * shape.scale
    x = touched(x, touch.at, touch.replace[0], touch.vector[0], touch.add[0])
    first = x[rows]
    changes = (touch.keep, touch.replace[1:], touch.vector[1:], touch.add[1:])
    x, (streams, heads) = jax.lax.scan(layer, x, (layers, *changes))
    unembedding = weights["embedding" if shape.tied else "unembedding"]
    logits = rms(x[rows], weights["norm"], shape.epsilon) @ unembedding.T
    return Seen(logits, jnp.concatenate([first[None], streams]), heads)
