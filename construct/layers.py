"""Layers: weights as their constructors make them, and the same as parameters of a Flax module.

`LayerWeights` is what a layer's constructor returns: NumPy arrays, checked when made. A `Stack`
holds the same arrays as nnx parameters, which optax, orbax and JAX's transformations take as any
model's.
"""

import weakref
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float

from construct import checks
from construct.gains import SelectionGains
from construct.heads import HeadBank
from construct.readout import Readout
from construct.residual import Residual
from construct.spec import Spec


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
    the constant `one`.

    W_3 (w, D) makes it a gated one (ReGLU, Shazeer 2020), h + W_2 (relu(W_1 h) * W_3 h); None: it
    has no gate."""

    W_1: Float[np.ndarray, "w D"]
    W_2: Float[np.ndarray, "D w"]
    W_3: Float[np.ndarray, "w D"] | None = None


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
            gate = self.mlp.W_3
            assert gate is None or gate.shape == self.mlp.W_1.shape, "the gate fits"


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
    """A residual ReLU MLP as parameters; W_3 is None where it has no gate."""

    def __init__(self, weights: MLPWeights) -> None:
        self.W_1 = nnx.Param(jax.device_put(weights.W_1, may_alias=True))
        self.W_2 = nnx.Param(jax.device_put(weights.W_2, may_alias=True))
        gate = weights.W_3
        self.W_3 = None if gate is None else nnx.Param(jax.device_put(gate, may_alias=True))

    @property
    def matrices(self) -> dict[str, nnx.Param]:
        """The matrices by name: W_1, W_2 and, of a gated MLP, W_3."""
        found = {"W_1": self.W_1, "W_2": self.W_2}
        return found if self.W_3 is None else found | {"W_3": self.W_3}


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


class Stack(nnx.Module):
    """Layers over a named residual stream, with what is read of them: all that an evaluator needs.

    slots: by task, the slot that it reads. There is no layer norm, and no 1/sqrt(rank) in the
    scores. The weights are built in the Spec's dtype whatever JAX's global setting, which is left
    as it is.
    """

    def __init__(
        self,
        spec: Spec,
        residual: Residual,
        layers: Iterable[LayerWeights],
        gains: SelectionGains,
        slots: tuple[int, ...],
        readout: Readout,
        checked: bool = True,
    ) -> None:
        self.spec = spec
        self.residual = residual
        self.gains = gains
        self.slots = slots
        self.readout = readout
        self.layers = nnx.List([])
        with in_dtype(spec.dtype):
            # Made and freed one at a time: the peak is the model and one layer.
            for weights in layers:
                if checked:  # weights that were edited keep no identity
                    weights.check(spec.K, residual)
                self.layers.append(Layer(weights))
        _built[self] = _state(self)

    @property
    def as_built(self) -> bool:
        """Whether the layers hold what was built, here or in a model of which this is a copy: the
        very same arrays, or arrays of equal entries, as nnx.jit hands them back; and the same
        supports and masks. Of what nnx.clone and nnx.merge make, that is known while the model is
        there."""
        held = _state(self)
        known, answer = _asked.get(self, (None, False))
        if known is not None and known.is_same(held):
            return answer
        own = _built.get(self)
        answer = any(
            built.is_same(held) or built.equals(held)
            for built in ([*_built.values()] if own is None else [own])
        )
        if held.frozen:
            _asked[self] = held, answer
        return answer

    @property
    def weights(self) -> list[Any]:
        """All stored arrays, in order."""
        return _state(self).arrays

    def forget_built(self) -> None:
        """Say that the weights are not those that were built."""
        _built.pop(self, None)
        _asked[self] = _state(self), False

    def __getstate__(self) -> dict[str, Any]:
        # A copy, or one that was pickled, is as built if this is.
        return {"attributes": super().__getstate__(), "as_built": self.as_built}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state["attributes"])
        if state["as_built"]:
            _built[self] = _state(self)

    def __deepcopy__(self, memo: dict | None = None) -> "Stack":
        copied = super().__deepcopy__(memo)
        if self.as_built:
            _built[copied] = _state(copied)
        return copied

    def layer(self, name: str) -> Layer:
        """The layer of that name. Raises ValueError for another name."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = ", ".join(layer.name for layer in self.layers)
        raise checks.refuse("name", f"{name!r:.40}", "must name a layer", f"use one of {names}")

    def output_rows(self) -> Float[np.ndarray, "K d D"]:
        """The stored rows that read every task's output W_i f + b_i off an input token."""
        (bank,) = self.layer(self.readout.layer).banks
        rows = np.array(bank.W_K[...])[:, bank.rows(self.readout.term)]
        less = self.readout.less
        return rows if less is None else rows + self.residual[less].astype(rows.dtype)


def in_dtype(dtype: str) -> AbstractContextManager[None]:
    """The context in which JAX keeps `dtype`: 64-bit types are enabled locally, the caller's
    setting is left as it is."""
    return jax.enable_x64(dtype == "float64")


def check_x64(dtype: str) -> None:
    """Refuse float64 where JAX's 64-bit types are off: it would compute in float32 in silence."""
    if jax.dtypes.canonicalize_dtype(dtype) != dtype:
        raise checks.refuse(
            "dtype",
            repr(dtype),
            "needs JAX's 64-bit types, which are off here",
            "wrap it: with jax.enable_x64(): ..., or build with dtype='float32'",
        )


class State(NamedTuple):
    """What a model's layers hold: all stored weights in order, and what is no array."""

    arrays: list[Any]
    form: tuple

    @property
    def frozen(self) -> bool:
        """Whether the weights are JAX arrays, which never change."""
        return all(isinstance(array, jax.Array) for array in self.arrays)

    def is_same(self, other: "State") -> bool:
        """Whether these are the very same arrays, in the same form."""
        return (
            self.form == other.form
            and len(self.arrays) == len(other.arrays)
            and all(a is b for a, b in zip(self.arrays, other.arrays, strict=True))
        )

    def equals(self, other: "State") -> bool:
        """Whether all entries are equal, in the same form; under a trace there are none yet, and
        nothing is known."""
        if self.form != other.form or len(self.arrays) != len(other.arrays):
            return False
        try:
            return all(
                a.dtype == b.dtype and np.array_equal(a, b)
                for a, b in zip(self.arrays, other.arrays, strict=True)
            )
        except jax.errors.TracerArrayConversionError:
            return False


# By model: what its layers held when it was built, and what they held when it was last asked
# whether that is still so, with the answer; comparing entries takes long.
_built: "weakref.WeakKeyDictionary[Stack, State]" = weakref.WeakKeyDictionary()
_asked: "weakref.WeakKeyDictionary[Stack, tuple[State, bool]]" = weakref.WeakKeyDictionary()
_kept: "weakref.WeakKeyDictionary[Stack, dict[Any, Any]]" = weakref.WeakKeyDictionary()


def remembered(model: Stack, key: tuple, make: Callable[[], Any]) -> Any:
    """What `make()` gives in the model's own dtype, kept until the model's layers hold something
    else."""
    state = _state(model)
    kept: dict[Any, Any] | None = _kept.get(model)
    if kept is None or not kept["state"].is_same(state):
        kept = {"state": state}
        if state.frozen:
            _kept[model] = kept
    if key not in kept:
        # Whoever asks first: all later ones get the same.
        with in_dtype(model.spec.dtype):
            kept[key] = make()
    return kept[key]


def _state(model: Stack) -> State:
    """What the layers hold now. JAX's own walk over the modules takes several times as long as a
    short call can spare."""
    parameters: list[nnx.Param] = []
    form: list[Any] = [model.slots]
    for layer in model.layers:
        form += (layer.name, layer.support, layer.causal, layer.many_heads)
        for bank in layer.banks:
            parameters += (bank.W_Q, bank.W_K, bank.W_V, bank.W_O)
            form.append(bank.terms)
        if layer.mlp is not None:
            parameters += layer.mlp.matrices.values()
    return State([parameter.get_raw_value() for parameter in parameters], tuple(form))
