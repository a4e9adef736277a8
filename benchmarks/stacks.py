"""The same weights in other libraries' attention: which answers does a plain stack of layers give,
and what does it cost?

Each stack is built as its library has it: K heads of key size D in every layer, scores divided by
sqrt(D), biases (zero), and an MLP of one width. Our heads are embedded there: rows of zeros up to
the key size, and sqrt(D) folded into W_Q. The libraries are optional and imported when asked for.
"""

import math
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from construct import Transformer
from construct.layers import Layer

# A stack holds about three arrays of scores at once; where one of the whole batch would exceed
# this, the batch is run in pieces. The results show how many prompts a piece has.
SCORE_BYTES = 1 << 30

Stack = Callable[
    [Array], object
]  # the embedded prompts (B, N, D) -> the stream after the last layer; [:, -1] is the answer's


class Padded(NamedTuple):
    """One layer at the stack's common shapes: scores <W_Q h, W_K h> / sqrt(key), h + W_2 relu(W_1
    h) at the common width."""

    W_Q: Float[np.ndarray, "K key D"]
    W_K: Float[np.ndarray, "K key D"]
    W_V: Float[np.ndarray, "K key D"]
    W_O: Float[np.ndarray, "K D key"]
    W_1: Float[np.ndarray, "width D"]
    W_2: Float[np.ndarray, "D width"]


def padded(model: Transformer) -> list[Padded]:
    """Every layer of a transformer with K heads of key size D (or the largest rank, if that is
    more) and one MLP width."""
    D = model.residual.dim
    banks = [bank for layer in model.layers for bank in layer.banks]
    key = max(D, *(size for bank in banks for size in (bank.W_Q.shape[1], bank.W_V.shape[1])))
    width = max([1] + [layer.mlp.W_1.shape[0] for layer in model.layers if layer.mlp is not None])
    return [_padded(layer, D, key, width) for layer in model.layers]


def _padded(layer: Layer, D: int, key: int, width: int) -> Padded:
    def heads(name: str, axis: int) -> np.ndarray:
        return np.concatenate(
            [_grow(np.asarray(getattr(bank, name)[...]), axis, key) for bank in layer.banks]
        )

    W_Q, W_K, W_V, W_O = heads("W_Q", 1), heads("W_K", 1), heads("W_V", 1), heads("W_O", 2)
    if layer.mlp is None:
        W_1, W_2 = np.zeros((width, D), W_Q.dtype), np.zeros((D, width), W_Q.dtype)
    else:
        W_1, W_2 = (
            _grow(np.asarray(layer.mlp.W_1[...]), 0, width),
            _grow(np.asarray(layer.mlp.W_2[...]), 1, width),
        )
    # The stack will divide its scores by sqrt(key).
    return Padded((W_Q * math.sqrt(key)).astype(W_Q.dtype), W_K, W_V, W_O, W_1, W_2)


def _grow(array: np.ndarray, axis: int, size: int) -> np.ndarray:
    """The array with zeros appended to one axis."""
    return np.pad(
        array, [(0, size - array.shape[axis] if i == axis else 0) for i in range(array.ndim)]
    )


def in_pieces(one: Callable[[Array], Array], stream: Array, K: int) -> Array:
    """Run a batch whole, or if its scores would exceed SCORE_BYTES in the fewest equal pieces that
    do not."""
    size = piece(stream.shape, K, stream.dtype.itemsize)
    if size == len(stream):
        return one(stream)
    return jnp.concatenate([one(stream[i : i + size]) for i in range(0, len(stream), size)])


def piece(shape: tuple[int, ...], K: int, itemsize: int) -> int:
    """How many prompts of a batch (B, N, D) run at once: the largest divisor of B whose scores fit
    SCORE_BYTES."""
    B, N, _ = shape
    return max(
        size
        for size in range(1, B + 1)
        if B % size == 0 and (size == 1 or size * K * N * N * itemsize <= SCORE_BYTES)
    )


def haiku_stack(layers: list[Padded]) -> Stack:
    """dm-haiku's MultiHeadAttention and Linear, the modules of Tracr's transformer, jitted."""
    import haiku as hk

    K, key, D = layers[0].W_Q.shape
    width = len(layers[0].W_1)

    def stack(h: Array) -> Array:
        for i in range(len(layers)):
            attention = hk.MultiHeadAttention(
                K, key, w_init=hk.initializers.Constant(0), model_size=D, name=f"attention_{i}"
            )
            h = h + attention(h, h, h)
            h = h + hk.Linear(D, name=f"down_{i}")(jax.nn.relu(hk.Linear(width, name=f"up_{i}")(h)))
        return h

    def into(matrix: np.ndarray) -> np.ndarray:  # (K, key, D) -> (D, K key)
        return matrix.reshape(K * key, D).T

    parameters = {}
    for i, layer in enumerate(layers):
        weights = {
            f"attention_{i}/query": into(layer.W_Q),
            f"attention_{i}/key": into(layer.W_K),
            f"attention_{i}/value": into(layer.W_V),
            f"attention_{i}/linear": layer.W_O.transpose(0, 2, 1).reshape(K * key, D),
            f"up_{i}": layer.W_1.T,
            f"down_{i}": layer.W_2.T,
        }
        parameters |= {
            name: {"w": jnp.asarray(w), "b": jnp.zeros(w.shape[1], w.dtype)}
            for name, w in weights.items()
        }
    apply = hk.without_apply_rng(hk.transform(stack)).apply
    run = jax.jit(apply)
    return lambda stream: in_pieces(lambda part: run(parameters, part), stream, K)


def nnx_stack(layers: list[Padded]) -> Stack:
    """flax.nnx's MultiHeadAttention and Linear, jitted."""
    from flax import nnx

    K, key, D = layers[0].W_Q.shape
    width, dtype = len(layers[0].W_1), layers[0].W_1.dtype
    modules = nnx.List([])
    for layer in layers:
        shapes = {"rngs": nnx.Rngs(0), "param_dtype": dtype}
        attention = nnx.MultiHeadAttention(
            K, D, K * key, D, decode=False, deterministic=True, **shapes
        )
        up, down = nnx.Linear(D, width, **shapes), nnx.Linear(width, D, **shapes)
        projections = {"query": layer.W_Q, "key": layer.W_K, "value": layer.W_V}
        for name, matrix in projections.items():
            _load(getattr(attention, name).kernel, matrix.transpose(2, 0, 1))
        _load(attention.out.kernel, layer.W_O.transpose(0, 2, 1))
        _load(up.kernel, layer.W_1.T)
        _load(down.kernel, layer.W_2.T)
        modules.append(nnx.List([attention, up, down]))
    graph, state = nnx.split(modules)

    def stack(state: nnx.State, h: Array) -> Array:
        for attention, up, down in nnx.merge(graph, state):
            h = h + attention(h)
            h = h + down(jax.nn.relu(up(h)))
        return h

    run = jax.jit(stack)
    return lambda stream: in_pieces(lambda part: run(state, part), stream, K)


def _load(parameter: Any, matrix: np.ndarray) -> None:
    assert parameter.shape == matrix.shape, "the stack's parameter has the shape of ours"
    parameter[...] = jnp.asarray(matrix)


def torch_stack(layers: list[Padded]) -> Stack:
    """torch's scaled_dot_product_attention and linear, eager and without gradients, on a GPU if
    torch has one."""
    # Threads that spin after their work is done would slow whatever runs next.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import torch  # pyright: ignore[reportMissingImports]
    from torch.nn.functional import (  # pyright: ignore[reportMissingImports]
        linear,
        relu,
        scaled_dot_product_attention,
    )

    K, key, D = layers[0].W_Q.shape
    device = "cuda" if torch.cuda.is_available() else "cpu"

    def tensor(matrix: np.ndarray) -> torch.Tensor:
        return torch.tensor(np.ascontiguousarray(matrix), device=device)

    weights = [
        (
            tensor(
                np.concatenate(
                    [part.reshape(K * key, D) for part in (layer.W_Q, layer.W_K, layer.W_V)]
                )
            ),
            torch.zeros(3 * K * key, device=device, dtype=tensor(layer.W_1).dtype),
            tensor(layer.W_O.transpose(1, 0, 2).reshape(D, K * key)),
            tensor(layer.W_1),
            tensor(layer.W_2),
        )
        for layer in layers
    ]

    def one(h: torch.Tensor) -> torch.Tensor:
        for W_QKV, bias, W_O, W_1, W_2 in weights:
            # (B, N, 3 K key) -> three of (B, K, N, key)
            q, k, v = (
                linear(h, W_QKV, bias).unflatten(-1, (3, K, key)).movedim(2, 0).transpose(2, 3)
            )
            moved = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            h = h + linear(moved, W_O)
            h = h + linear(relu(linear(h, W_1)), W_2)
        return h

    held: list[tuple[Array, torch.Tensor]] = []

    def run(stream: Array) -> np.ndarray:
        if not held or held[0][0] is not stream:  # handing the prompts over is not timed
            held[:] = [(stream, torch.tensor(np.asarray(stream), device=device))]
        parts = held[0][1].split(piece(stream.shape, K, stream.dtype.itemsize))
        with torch.inference_mode():
            # The whole stream is computed; the answer token's comes back, and with it the end of
            # the work on a GPU.
            return torch.cat([one(part)[:, -1:] for part in parts]).cpu().numpy()

    return run


STACKS: Mapping[str, Callable[[list[Padded]], Stack]] = {
    "haiku": haiku_stack,
    "nnx": nnx_stack,
    "torch": torch_stack,
}
