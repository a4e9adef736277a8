"""The transformer: explicit weights in a Flax module, and nothing else.

`LayerWeights` is what a layer's constructor returns: NumPy arrays, checked when made. `Transformer`
holds the same arrays as nnx parameters, so that optax, orbax, jax.jit and jax.vmap work on it as on
any model.
"""

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Float

from construct.answer import Answer, Trace
from construct.heads import HeadBank
from construct.prompt import Prompt
from construct.residual import Residual
from construct.spec import Spec

Hooks = Mapping[tuple[str, str], Callable[[Array], Array | None]]


class Support(Enum):
    """The keys that a layer's heads can reach besides BOS; everywhere else the softmax weight
    underflows to 0."""

    SELF = "the token itself"
    EXAMPLE = "the token's own example"
    QUERY = "the query's tokens"
    LABELS = "the label tokens"
    INPUTS = "the examples' inputs"
    EXAMPLE_AND_QUERY = "the token's own example and the query's tokens"


@dataclass(frozen=True)
class MLPWeights:
    """A residual ReLU MLP, h + W_2 relu(W_1 h): W_1 (w, D), W_2 (D, w). Its biases are columns of
    the constant `one`."""

    W_1: Float[np.ndarray, "w D"]
    W_2: Float[np.ndarray, "D w"]


@dataclass(frozen=True)
class LayerWeights:
    """One layer: its name (the verb), the heads by bank, the support of its attention, and its MLP
    (None: empty).

    causal: a token sees only itself and tokens before it, and not the whole prompt. many_heads: all
    heads move something at the same token, so their outputs are summed in about sqrt(K) blocks:
    rounding grows with 2 sqrt(K) and not with K.
    """

    name: str
    heads: tuple[HeadBank, ...]
    support: Support
    mlp: MLPWeights | None = None
    causal: bool = False
    many_heads: bool = False

    def check(self, K: int, residual: Residual) -> None:
        """Assert that there are K heads and that every matrix fits the residual stream."""
        assert sum(len(bank.W_Q) for bank in self.heads) == K, f"{self.name} has K heads"
        for bank in self.heads:
            bank.check(residual)
        if self.mlp is not None:
            width = len(self.mlp.W_1)
            assert self.mlp.W_1.shape == (width, residual.dim) and self.mlp.W_2.shape == (
                residual.dim,
                width,
            ), "the MLP fits"


class Heads(nnx.Module):
    """A bank of heads as parameters; `terms` name the rows of W_Q and W_K."""

    def __init__(self, weights: HeadBank) -> None:
        self.W_Q = nnx.Param(jax.device_put(weights.W_Q, may_alias=True))
        self.W_K = nnx.Param(jax.device_put(weights.W_K, may_alias=True))
        self.W_V = nnx.Param(jax.device_put(weights.W_V, may_alias=True))
        self.W_O = nnx.Param(jax.device_put(weights.W_O, may_alias=True))
        self.terms = weights.terms

    @property
    def count(self) -> int:
        """The number of heads in this bank."""
        return self.W_Q.shape[0]

    @property
    def idle(self) -> bool:
        """Whether these heads were built to do nothing."""
        return self.terms == (("idle", 1),)

    def rows(self, term: str) -> slice:
        """The rows of W_Q and W_K that belong to a named term of the score."""
        start = 0
        for name, size in self.terms:
            if name == term:
                return slice(start, start + size)
            start += size
        raise KeyError(term)


class MLP(nnx.Module):
    """A residual ReLU MLP as parameters."""

    def __init__(self, weights: MLPWeights) -> None:
        self.W_1 = nnx.Param(jax.device_put(weights.W_1, may_alias=True))
        self.W_2 = nnx.Param(jax.device_put(weights.W_2, may_alias=True))


class Layer(nnx.Module):
    """One layer: attention heads by bank, then an MLP (None: empty)."""

    def __init__(self, weights: LayerWeights) -> None:
        self.name = weights.name
        self.support = weights.support
        self.causal = weights.causal
        self.many_heads = weights.many_heads
        self.banks = nnx.List([Heads(bank) for bank in weights.heads])
        self.mlp = None if weights.mlp is None else MLP(weights.mlp)

    @property
    def heads(self) -> int:
        """The number of attention heads, idle ones included."""
        return sum(bank.count for bank in self.banks)


@runtime_checkable
class Reading(Protocol):
    """How a theorem asks its transformer: it validates prompts, runs the layers and decodes the
    residual stream."""

    def answers(
        self,
        model: "Transformer",
        prompts: list[Prompt],
        names: list[str],
        hooks: Hooks | None,
        evaluator: str | None,
    ) -> list[Answer]:
        """Answer prompts, whose `names` are for error messages; evaluator None picks one by
        size."""

    def stream(
        self,
        model: "Transformer",
        blocks: Iterable[Any],
        query: Any,
        progress: Callable[[int], None] | None,
        screen: bool | None,
        mesh: Mesh | None,
    ) -> Answer:
        """Answer a prompt whose examples come in blocks."""

    def trace(
        self, model: "Transformer", prompt: Prompt, hooks: Hooks | None, keep: bool, enforce: bool
    ) -> Trace:
        """Answer one prompt and record every layer; `keep` the attention weights too, `enforce` the
        hypotheses."""


class Transformer(nnx.Module):
    """A stack of layers over a named residual stream, without layer norm and without 1/sqrt(rank)
    in the scores.

    The weights are built in the Spec's dtype whatever JAX's global setting, which is left as it is.
    `reading` is the theorem's own way to ask the transformer and to decode its stream.
    """

    def __init__(
        self, spec: Spec, residual: Residual, layers: Iterable[LayerWeights], reading: Reading
    ) -> None:
        self.spec = spec
        self.residual = residual
        self.reading = reading
        self.layers = nnx.List([])
        with jax.enable_x64(spec.dtype == "float64"):
            for (
                weights
            ) in layers:  # made and freed one at a time: the peak is the model and one layer
                weights.check(spec.K, residual)
                self.layers.append(Layer(weights))

    def __call__(
        self,
        prompts: Prompt | Sequence[Prompt],
        *,
        hooks: Hooks | None = None,
        evaluator: str | None = None,
    ) -> Answer | list[Answer]:
        """Answer a prompt, or a list of prompts of any lengths, short ones in one batched pass.

        evaluator: 'dense' scores all pairs of tokens; 'restricted' only those on the layers'
        declared supports, in time linear in the tokens; None picks one of these by size.
        `answer.evaluator` says which it was. They agree to rounding. 'bf16' is dense with scores
        and weighted sums of bfloat16 numbers, for functions of one-hot words: the same answer to
        the last bit, or refused if those are not exact. hooks: {(layer name, subspace): function},
        called with the subspace of the residual stream after that layer, (N, size); what it
        returns, unless None, replaces it. Tokens beyond the prompt's own (padding) come before the
        query's. Raises ValueError when a prompt is outside the theorem's hypotheses.
        """
        if isinstance(prompts, Sequence):
            names = [f"prompts[{i}]" for i in range(len(prompts))]
            return (
                self.reading.answers(self, list(prompts), names, hooks, evaluator)
                if prompts
                else []
            )
        return self.reading.answers(self, [prompts], ["prompt"], hooks, evaluator)[0]

    def stream(
        self,
        blocks: Iterable[Any],
        query: Any,
        *,
        progress: Callable[[int], None] | None = None,
        screen: bool | None = None,
        mesh: Mesh | None = None,
    ) -> Answer:
        """Answer a prompt that need not fit into memory, by the restricted evaluator.

        blocks: any iterable of (inputs (b, n-1, d), labels (b, d)), at most m examples in all,
        which may fill the same arrays with every block; query (n-1, d). progress: called with the
        number of examples done so far. screen: certify most wrong tasks off by a few coordinates of
        their residuals; None does where there are many tasks. The recognized tasks are the same
        either way. mesh: devices to share the work, with an axis 'examples' and, if heads are to be
        shared too, an axis 'heads' that divides K; None: one device. With several processes
        (jax.distributed) all of them call this with the same blocks; a process converts and copies
        only the rows of its own devices, so that blocks mapped with mode 'r' are read in shares.
        Raises ValueError when the prompt is outside the theorem's hypotheses, or the weights have
        no certificate; ConnectionError when another process of the mesh is gone.
        """
        return self.reading.stream(self, blocks, query, progress, screen, mesh)

    def trace(
        self,
        prompt: Prompt,
        *,
        hooks: Hooks | None = None,
        attention: bool = True,
        enforce: bool = True,
    ) -> Trace:
        """Answer one prompt and keep every layer's residual stream, score gaps and (on request)
        attention weights.

        enforce: raise ValueError when the run shows a hypothesis to fail, as a call does; False
        records it all the same. With hooks nothing is enforced: the stream is the caller's.
        """
        return self.reading.trace(
            self, prompt, hooks, keep=attention, enforce=enforce and not hooks
        )

    def layer(self, name: str) -> Layer:
        """The layer of that name. Raises KeyError."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)


_kept: "weakref.WeakKeyDictionary[Transformer, dict[Any, Any]]" = weakref.WeakKeyDictionary()


def remembered(model: Transformer, key: tuple, make: Callable[[], Any]) -> Any:
    """What `make()` gives, kept until the model holds other arrays (JAX arrays never change)."""
    leaves = _arrays(model)
    kept = _kept.get(model)
    if (
        kept is None
        or len(kept["leaves"]) != len(leaves)
        or any(a is not b for a, b in zip(kept["leaves"], leaves, strict=True))
    ):
        kept = {"leaves": leaves}
        if all(isinstance(leaf, jax.Array) for leaf in leaves):
            _kept[model] = kept
    if key not in kept:
        kept[key] = make()
    return kept[key]


def _arrays(model: Transformer) -> list[Any]:
    """All stored weights, in order. JAX's own walk over the modules takes several times as long as
    a short call can spare."""
    parameters: list[nnx.Param] = []
    for layer in model.layers:
        for bank in layer.banks:
            parameters += (bank.W_Q, bank.W_K, bank.W_V, bank.W_O)
        if layer.mlp is not None:
            parameters += (layer.mlp.W_1, layer.mlp.W_2)
    return [parameter.get_raw_value() for parameter in parameters]
