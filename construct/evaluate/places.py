"""Places inside a run that a hook can read and replace, and a run in stages with hooks between.

Names are TransformerLens', with a layer's own name for its number and without `hook_`:

    embed                        the stream before the first layer              (N, D)
    <layer>.attn.q, .k, .v       each head's query, key, value of every token   (K, N, rank)
    <layer>.attn.scores          each head's scores, -inf where it cannot see   (K, N, N)
    <layer>.attn.pattern         its softmax weights, query tokens first        (K, N, N)
    <layer>.attn.result          what it writes to the stream                   (K, N, D)
    <layer>.resid_mid            the stream after attention, before the MLP     (N, D)
    <layer>.resid_post           the stream after the layer                     (N, D)

A place of the stream can be narrowed to a subspace: ("commit.resid_mid", "count"). A layer's name
alone stands for its resid_post: ("commit", "z"). Heads of smaller rank hold zeros at the end.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from construct import checks
from construct.evaluate.dense import apply_layer, joined, over_prompts, product, transform, weigh
from construct.evaluate.supports import GATHERS
from construct.layers import Layer, Stack
from construct.residual import Residual

ATTENTION = ("attn.q", "attn.k", "attn.v", "attn.scores", "attn.pattern", "attn.result")
STREAM = ("resid_mid", "resid_post")

# A place, or a place of the stream and a subspace.
Place = str | tuple[str, str]
# By place, a function of what is there; `check_hooks` refuses what is not.
Hooks = Mapping[Any, Any]
# touch(place, value) -> the value to go on with
Touch = Callable[[str, Any], Any]


def places_of(stack: Stack) -> tuple[str, ...]:
    """All places of a model, in the order in which a run passes them."""
    inner = [f"{layer.name}.{place}" for layer in stack.layers for place in ATTENTION + STREAM]
    return ("embed", *inner)


def place_of(key: Place) -> tuple[str, str | None]:
    """The full name of a hook's place, and the subspace that it asks for."""
    place, subspace = key if isinstance(key, tuple) else (key, None)
    return place if "." in place or place == "embed" else f"{place}.resid_post", subspace


def check_hooks(stack: Stack, hooks: Any) -> None:
    """Refuse a hook that is no function, or that is on no place."""
    if hooks is not None and not isinstance(hooks, Mapping):
        raise checks.refuse(
            "hooks",
            f"a {type(hooks).__name__}",
            "must be a mapping {place: function}",
            "see model.places()",
        )
    known = places_of(stack)
    for key, hook in (hooks or {}).items():
        named = isinstance(key, tuple) and len(key) == 2 and all(isinstance(k, str) for k in key)
        if not (isinstance(key, str) or named):
            raise checks.refuse(
                "hooks",
                f"{key!r:.60}",
                "must be a place or a pair (place, subspace)",
                "see model.places()",
            )
        place, subspace = place_of(key)
        if place not in known:
            layers = ", ".join(["embed", *(layer.name for layer in stack.layers)])
            raise checks.refuse(
                "hooks",
                repr(key[0] if isinstance(key, tuple) else key),
                "must name a layer or a place in one",
                f"use one of {layers}, or a place of model.places()",
            )
        if subspace is not None:
            if place.split(".")[-1] not in ("embed", *STREAM):
                raise checks.refuse(
                    "hooks", repr(key), "only the stream has subspaces", f"hook {place!r} whole"
                )
            stack.residual.where(subspace)
        if not callable(hook):
            raise checks.refuse(
                f"hooks[{key!r}]", f"{hook!r:.40}", "must be a function", "pass a callable"
            )


def touched(hooks: Hooks, residual: Residual, place: str, value: Array) -> Array:
    """A value after the hooks on its place, on arrays that may be traced."""
    for key, hook in hooks.items():
        name, subspace = place_of(key)
        if name != place:
            continue
        seen = value if subspace is None else residual.read(value, subspace)
        new = hook(seen)
        if new is None:
            continue
        try:
            new = checked(key, new, seen.shape)
        except jax.errors.TracerArrayConversionError:  # its numbers are not there yet
            checks.shape(f"hooks[{key!r}]", new, seen.shape, "the place that it replaces")
        new = jnp.asarray(new, value.dtype)
        value = new if subspace is None else residual.replace(value, subspace, new)
    return value


def checked(key: Place, new: Any, shape: tuple[int, ...]) -> np.ndarray:
    """What a hook returned, as an array. Raises ValueError if it is not real numbers of the
    place's shape."""
    try:
        array = np.asarray(new)
    except jax.errors.TracerArrayConversionError:
        raise
    except (TypeError, ValueError):
        array = np.asarray(None)
    if array.dtype.kind not in "fiu" and "float" not in array.dtype.name:
        raise checks.refuse(
            f"hooks[{key!r}]",
            f"a result of {array.dtype}",
            "must return real numbers, or None to leave the place as it is",
            "return an array of floats",
        )
    checks.shape(f"hooks[{key!r}]", array, shape, "the place that it replaces")
    if np.isnan(array).any():
        where = [int(i) for i in np.argwhere(np.isnan(array))[0]]
        raise checks.refuse(
            f"hooks[{key!r}]", f"NaN at {where}", "must return numbers", "return None or numbers"
        )
    return array


# The stages of a layer, for one prompt.


def read_heads(layer: Layer, stream: Float[Array, "N D"]) -> tuple[Array, Array, Array]:
    """Every head's queries, keys and values: (K, N, rank) twice and (K, N, v)."""
    bank = joined(layer.banks)
    q, k, v = (product("nd,had->hna", stream, W) for W in (bank.W_Q, bank.W_K, bank.W_V))
    return q, k, v


def score(
    layer: Layer, q: Float[Array, "K N a"], k: Float[Array, "K N a"], real: Bool[Array, "N"]
) -> Float[Array, "K N N"]:
    """Every head's scores; -inf where a query token cannot see a key."""
    visible = jnp.tril(jnp.broadcast_to(real, (len(real),) * 2)) if layer.causal else real
    return jnp.where(visible, product("hqa,hka->hqk", q, k), -jnp.inf)


def softmax(scores: Float[Array, "K N N"]) -> Float[Array, "K N N"]:
    """The softmax weights of scores."""
    weights = jnp.exp(scores - jax.lax.stop_gradient(scores.max(-1, keepdims=True)))
    total = weights.sum(-1, keepdims=True)
    return weights / jax.lax.optimization_barrier(jnp.broadcast_to(total, weights.shape))


def results(
    layer: Layer, pattern: Float[Array, "K N N"], v: Float[Array, "K N v"]
) -> Float[Array, "K N D"]:
    """What every head writes."""
    moved = weigh(pattern, v, layer.support in GATHERS)
    return product("hqv,hdv->hqd", moved, joined(layer.banks).W_O)


def attention_of(
    layer: Layer, stream: Float[Array, "N D"], real: Bool[Array, "N"]
) -> Float[Array, "N D"]:
    """The stream after a layer's attention."""
    return apply_layer(layer, stream, real, mlp=False)


def add(
    layer: Layer, stream: Float[Array, "N D"], result: Float[Array, "K N D"]
) -> Float[Array, "N D"]:
    """The stream after what the heads write is added, in blocks if many of them move something."""
    size = math.isqrt(len(result) - 1) + 1 if layer.many_heads else len(result)
    blocks = jnp.pad(result, [(0, -len(result) % size), (0, 0), (0, 0)])
    return stream + blocks.reshape(-1, size, *stream.shape).sum(1).sum(0)


class Stages(NamedTuple):
    """The stages of a layer; each takes the layer first."""

    whole: Callable[..., Any]
    attention_of: Callable[..., Any]
    read_heads: Callable[..., Any]
    score: Callable[..., Any]
    softmax: Callable[..., Any]
    results: Callable[..., Any]
    add: Callable[..., Any]
    transform: Callable[..., Any]


ONE_PROMPT = Stages(
    whole=apply_layer,
    attention_of=attention_of,
    read_heads=read_heads,
    score=score,
    softmax=lambda layer, scores: softmax(scores),
    results=results,
    add=add,
    transform=transform,
)


def _batched(stage: Callable[..., Any]) -> Callable[..., Any]:
    """A stage of one prompt as a compiled stage of a batch."""

    @jax.jit
    def run(layer: Layer, *batch: Array) -> Any:
        tokens = max(batch[0].shape[1:3])
        scores = layer.heads * tokens**2 * batch[0].dtype.itemsize
        return over_prompts(lambda one: stage(layer, *one), batch, scores)

    return run


BATCH = Stages(*(_batched(stage) for stage in ONE_PROMPT))


def run_touched(
    layers: Iterable[Layer],
    stream: Array,
    real: Array,
    touch: Touch,
    at: Collection[str],
    stages: Stages = ONE_PROMPT,
    see: Callable[[Layer, Array, Array], None] | None = None,
) -> Array:
    """Run the layers with `touch` at some places; the stream after the last, at all tokens.

    at: the places that are touched; a layer whose inner places are not runs as one stage.
    see(layer, before, after) is told of each layer.
    """
    stream = touch("embed", stream)
    for layer in layers:
        before, name = stream, layer.name
        inside = any(f"{name}.{place}" in at for place in ATTENTION)
        if inside:
            heads = stages.read_heads(layer, stream)
            q, k, v = (
                touch(f"{name}.{place}", value)
                for place, value in zip(ATTENTION[:3], heads, strict=True)
            )
            scores = touch(f"{name}.attn.scores", stages.score(layer, q, k, real))
            pattern = touch(f"{name}.attn.pattern", stages.softmax(layer, scores))
            result = touch(f"{name}.attn.result", stages.results(layer, pattern, v))
            stream = stages.add(layer, stream, result)
        if inside or f"{name}.resid_mid" in at:
            stream = stream if inside else stages.attention_of(layer, stream, real)
            stream = stages.transform(layer, touch(f"{name}.resid_mid", stream))
        else:
            stream = stages.whole(layer, stream, real)
        stream = touch(f"{name}.resid_post", stream)
        if see is not None:
            see(layer, before, stream)
    return stream


class Touched:
    """Hooks on a batch of prompts, each on its own tokens: padding never shows.

    hooks: by prompt. rows: by prompt, its own tokens among those of the batch.
    """

    def __init__(
        self, hooks: Sequence[Hooks | None], rows: Sequence[np.ndarray], residual: Residual
    ) -> None:
        self.rows, self.residual = rows, residual
        self.hooks: dict[str, list[tuple[int, Place, Callable[[Any], Any]]]] = {}
        for i, one in enumerate(hooks):
            for key, hook in (one or {}).items():
                self.hooks.setdefault(place_of(key)[0], []).append((i, key, hook))

    def __call__(self, place: str, value: Float[Array, "B ..."]) -> Float[Array, "B ..."]:
        """The value after the hooks on its place."""
        if place not in self.hooks:
            return value
        host = np.array(value)
        changed = False
        for i, key, hook in self.hooks[place]:
            own = _own(place, self.rows[i])
            subspace = place_of(key)[1]
            if subspace is not None:
                own = (self.rows[i], self.residual.where(subspace))
            seen = host[i][own]
            # Put, and not converted, for which JAX compiles a program a shape.
            new = hook(jax.device_put(seen))
            if new is not None:
                host[i][own] = checked(key, new, seen.shape)
                changed = True
        return jax.device_put(host) if changed else value


def _own(place: str, rows: np.ndarray) -> tuple[Any, ...]:
    """The index of a prompt's own tokens in a place's value."""
    if place == "embed" or place.endswith(STREAM):
        return (rows,)
    if place.endswith(("scores", "pattern")):
        return (slice(None), rows[:, None], rows[None])
    return (slice(None), rows)
