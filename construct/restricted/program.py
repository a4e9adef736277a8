"""All layers on the tokens that the answer depends on, as the declared supports tell: the query
once, examples by the chunk.

Token classes: BOS; the inputs and the last token of the query; the inputs and the label of every
example. Only one layer gathers over all examples (the `meeting`): before it the query and BOS see
no example and an example sees no other, after it only the query's tokens matter. So BOS and the
query go first, and what each layer reads of them is kept; a chunk of examples then runs up to the
meeting and adds a `Part` to its softmax; `finish` puts the parts together and runs the rest.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from construct.residual import position_codes
from construct.restricted.attention import Keys, Scores, Screen, Tokens, attend, mlp, score, write
from construct.restricted.blocks import apply
from construct.restricted.plan import BankPlan, LayerPlan, Plan
from construct.transformer import Support

BOS, QUERY, ANSWER, INPUTS, LABEL = "bos", "query inputs", "answer", "inputs", "label"
MEETINGS = {Support.LABELS: LABEL, Support.INPUTS: INPUTS}

# The classes of which a token sees some under a causal mask; other examples come in at the meeting
# alone.
BEFORE = {
    BOS: [],
    INPUTS: [INPUTS],
    LABEL: [INPUTS, LABEL],
    QUERY: [QUERY],
    ANSWER: [QUERY, ANSWER],
}

Classes = dict[str, Tokens]
# observe(layer, class, all classes before the layer, that class after it, its scores by bank and
# class of keys)
Observe = Callable[[LayerPlan, str, Classes, Tokens, list[list[Scores]]], None]


class Part(NamedTuple):
    """A share of a softmax over many keys, by head: the top score, the sum of exp(score - top), and
    that of the values."""

    top: Float[Array, "H q"]
    total: Float[Array, "H q"]
    value: Float[Array, "H v q"]


Parts = dict[str, list[Part]]  # by class of query tokens, then by bank


def reads(support: Support, tokens: str) -> list[str]:
    """The classes of keys that tokens of a class can attend to, without BOS."""
    group = (
        [QUERY, ANSWER] if tokens in (QUERY, ANSWER) else [] if tokens == BOS else [INPUTS, LABEL]
    )
    return {
        Support.SELF: [] if tokens == BOS else [tokens],
        Support.EXAMPLE: group,
        Support.QUERY: [QUERY, ANSWER],
        Support.EXAMPLE_AND_QUERY: list(dict.fromkeys([*group, QUERY, ANSWER])),
        Support.LABELS: [LABEL],
        Support.INPUTS: [INPUTS],
    }[support]


def needed(
    layers: Iterable[Any], attends: Callable[[Any], bool] = lambda layer: bool(layer.banks)
) -> list[set[str]]:
    """The classes of tokens whose stream matters, before the first layer, after it, ..., after the
    last.

    attends: whether any head of a layer moves anything.
    """
    wanted = [{ANSWER}]
    for layer in reversed(list(layers)):
        after = wanted[0]
        keys = (
            {key for tokens in after for key in reads(layer.support, tokens)}
            if attends(layer)
            else set()
        )
        wanted.insert(0, after | keys | {BOS})
    return wanted


def meeting(plan: Plan) -> int:
    """The index of the one layer that gathers over all examples. Raises AssertionError if it is not
    one."""
    found = [i for i, layer in enumerate(plan.layers) if layer.support in MEETINGS and layer.banks]
    assert len(found) == 1, "one layer reads all examples"
    (index,) = found
    assert not needed(plan.layers)[index + 1] & {INPUTS, LABEL}, (
        "nobody reads an example after the meeting"
    )
    return index


def embed_group(
    plan: Plan,
    x: Float[Array, "g slots d"],
    y: Float[Array, "g d"] | None,
    example: Int[Array, "g"],
) -> tuple[Tokens, Tokens]:
    """The inputs and the last token of groups (examples, or the query if y is None) before the
    first layer."""
    residual, n, dtype = plan.residual, plan.n, x.dtype
    one = jnp.ones((1, 1, 1), dtype)
    e = position_codes(example, residual.size("e"), dtype).T[:, None]
    s = position_codes(jnp.arange(n), residual.size("s"), dtype).T[:, :, None]
    inputs = {"x": jnp.transpose(x, (2, 1, 0)), "one": one, "inp": one, "e": e, "s": s[:, :-1]}
    last = {"one": one, "e": e, "s": s[:, -1:]}
    if "sum" in residual.names:
        inputs["sum"] = (jnp.arange(n - 1) == n - 2).astype(dtype)[None, :, None]
    if y is None:
        inputs["qry"] = last["qry"] = one
    else:
        last |= {"y": y.T[:, None], "lab": one}
    return Tokens(inputs, n - 1), Tokens(last, 1)


def _keys(layer: LayerPlan, name: str, classes: Classes) -> list[Keys]:
    own = layer.support is Support.SELF
    keys = []
    for key in reads(layer.support, name):
        if layer.causal and key not in BEFORE[name]:
            continue
        keys.append(Keys(classes[key], own=own, causal=layer.causal and key == name))
    return [*keys, Keys(classes[BOS])]


def _advance(
    plan: Plan,
    layer: LayerPlan,
    classes: Classes,
    names: Iterable[str],
    screen: Screen | None,
    observe: Observe | None,
) -> Classes:
    """Some classes of tokens after a layer; the rest as they were."""
    done = dict(classes)
    for name in names:
        out, seen = attend(layer, classes[name], _keys(layer, name, classes), screen)
        done[name] = mlp(layer, classes[name].plus(out))
        if observe is not None:
            observe(layer, name, classes, done[name], seen)
    return done


def prelude(
    plan: Plan, query: Float[Array, "slots d"], observe: Observe | None = None
) -> list[Classes]:
    """BOS and the query before each layer up to the meeting."""
    one = jnp.ones((1, 1, 1), query.dtype)
    inputs, answer = embed_group(plan, query[None], None, jnp.array([plan.m]))
    before = [{BOS: Tokens({"one": one, "bos": one}, 1), QUERY: inputs, ANSWER: answer}]
    wanted = needed(plan.layers)
    for i, layer in enumerate(plan.layers[: meeting(plan)]):
        names = [name for name in (BOS, QUERY, ANSWER) if name in wanted[i + 1]]
        before.append(_advance(plan, layer, before[-1], names, None, observe))
    return before


def examples(
    plan: Plan,
    before: list[Classes],
    x: Array,
    y: Array,
    first: Array,
    real: Bool[Array, "g"],
    screen: Screen | None,
    observe: Observe,
) -> Parts:
    """Run a chunk of examples, the first of which has index `first`, up to the meeting: its share
    of that softmax."""
    inputs, label = embed_group(plan, x, y, first + jnp.arange(len(x)))
    classes, wanted, last = {INPUTS: inputs, LABEL: label}, needed(plan.layers), meeting(plan)
    for i, layer in enumerate(plan.layers[:last]):
        names = [name for name in (INPUTS, LABEL) if name in wanted[i + 1]]
        classes = _advance(plan, layer, before[i] | classes, names, screen, observe)
        classes = {name: classes[name] for name in names}
    layer = plan.layers[last]
    keys = Keys(classes[MEETINGS[layer.support]])
    names = (
        (QUERY, ANSWER) if layer.causal else (BOS, QUERY, ANSWER)
    )  # under a causal mask BOS sees no example
    queries = {name: before[last][name] for name in names if name in wanted[last + 1]}
    return {
        name: [_part(bank, query, keys, real) for bank in layer.banks]
        for name, query in queries.items()
    }


def _part(bank: BankPlan, query: Tokens, keys: Keys, real: Bool[Array, "g"] | None = None) -> Part:
    scores = score(bank.terms, query, keys, bank.count)
    if real is not None:
        scores = jnp.where(real, jnp.broadcast_to(scores, (*scores.shape[:3], len(real))), -jnp.inf)
    scores = jnp.broadcast_to(scores, (scores.shape[0], query.slots, *scores.shape[2:]))
    top = scores.max((2, 3))
    weight = jnp.exp(scores - _finite(top)[:, :, None, None])
    # Padding has a score of -inf, hence weight 0, and is 0 in the prompt, hence has a finite value.
    value = apply(bank.value, keys.tokens.stream)
    if value is None:
        moved = jnp.zeros((bank.count, bank.width, query.slots), scores.dtype)
    else:
        moved = (
            jnp.broadcast_to(value, (bank.count, *value.shape[1:]))[:, :, None] * weight[:, None]
        )
        moved = halved_sum(moved.reshape(*moved.shape[:3], -1))
    return Part(top, halved_sum(weight.reshape(*weight.shape[:2], -1)), moved)


def _finite(top: Array) -> Array:
    """With padding alone the top is -inf: keep 0/0 out."""
    return jnp.where(jnp.isfinite(top), top, 0)


def halved_sum(x: Float[Array, "*rest c"]) -> Float[Array, "*rest"]:
    """The sum over the last axis by halves: rounding grows with log2 of the count."""
    while (count := x.shape[-1]) > 1:
        if count % 2:
            x = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, 1)])
        half = (count + 1) // 2
        x = x[..., :half] + x[..., half:]
    return x[..., 0]


def combine(parts: Part) -> Part:
    """Many shares of a softmax, stacked on a first axis, as one; the sums by halves."""
    top = parts.top.max(0)
    scale = jnp.exp(parts.top - _finite(top))
    total, value = parts.total * scale, parts.value * scale[:, :, None]
    return Part(top, halved_sum(jnp.moveaxis(total, 0, -1)), halved_sum(jnp.moveaxis(value, 0, -1)))


def combine_all(parts: Parts) -> Parts:
    """`combine` for every class of query tokens and every bank."""
    return {name: [combine(part) for part in banks] for name, banks in parts.items()}


def finish(plan: Plan, before: list[Classes], parts: Parts) -> Tokens:
    """The answer token after the last layer: the examples' share of the meeting against BOS, then
    the layers that follow."""
    last, wanted = meeting(plan), needed(plan.layers)
    layer, classes = plan.layers[last], dict(before[-1])
    for name, banks in parts.items():
        out = {}
        for bank, part in zip(layer.banks, banks, strict=True):
            bos = _part(bank, before[-1][name], Keys(before[-1][BOS]))
            both = combine(jax.tree.map(lambda *two: jnp.stack(two), part, bos))
            for target, moved in write(bank, (both.value / both.total[:, None])[..., None]).items():
                out[target] = out[target] + moved if target in out else moved
        classes[name] = mlp(layer, before[-1][name].plus(out))
    if BOS in wanted[last + 1] and BOS not in parts:
        classes[BOS] = _advance(plan, layer, before[-1], [BOS], None, None)[BOS]
    for i, layer in enumerate(plan.layers[last + 1 :], start=last + 1):
        names = [name for name in (BOS, QUERY, ANSWER) if name in wanted[i + 1]]
        classes = _advance(plan, layer, classes, names, None, None)
    return classes[ANSWER]
