"""All layers on the tokens that the answer depends on, as the declared supports tell: the query
once, examples by the chunk.

Token classes: BOS; the inputs and the last token of the query; the inputs and the label of every
example. Only one layer gathers over all examples (the `meeting`): before it the query and BOS see
no example and an example sees no other, after it only the query's tokens matter. So BOS and the
query go first, and what each layer reads of them is kept; a chunk of examples then runs up to the
meeting and adds a `Share` to its softmax; `finish` puts the parts together and runs the rest.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from construct.evaluate.attention import (
    Keys,
    Scores,
    Screen,
    Tokens,
    attend,
    fixed_values,
    mlp,
    score,
    write,
)
from construct.evaluate.blocks import Mixed, Stream, apply, dense
from construct.evaluate.plan import BankPlan, Fixed, LayerPlan, Plan
from construct.evaluate.supports import GATHERS, keys_of, visible_to
from construct.layers import Support
from construct.residual import position_codes
from construct.roles import ANSWER, BOS, EXAMPLE, INPUT, LABEL, QUERY, ROLES, roles_of

Classes = dict[str, Tokens]
# observe(layer, class, all classes before the layer, that class after it, its scores by bank and
# class of keys)
Observe = Callable[[LayerPlan, str, Classes, Tokens, list[list[Scores]]], None]


class Share(NamedTuple):
    """A share of a softmax over many keys, by head: the top score, the sum of exp(score - top), and
    that of the values."""

    top: Float[Array, "H q"]
    total: Float[Array, "H q"]
    value: Float[Array, "H v q"]


Shares = dict[str, list[Share]]  # by class of query tokens, then by bank


def _moves(layer: LayerPlan) -> bool:
    """A plan keeps only the banks that move something."""
    return bool(layer.banks)


def needed(layers: Iterable[Any], moves: Callable[[Any], bool] = _moves) -> list[set[str]]:
    """The classes of tokens whose stream matters, before the first layer, after it, ..., after the
    last; moves(layer): whether any of its heads moves anything."""
    wanted = [{ANSWER}]
    for layer in reversed(list(layers)):
        after = wanted[0]
        keys = (
            {key for tokens in after for key in keys_of(layer.support, tokens)}
            if moves(layer)
            else set()
        )
        wanted.insert(0, after | keys | {BOS})
    return wanted


def gathering(layers: Iterable[Any], moves: Callable[[Any], bool] = _moves) -> list[int]:
    """The indices of the layers that gather over all examples."""
    return [i for i, layer in enumerate(layers) if layer.support in GATHERS and moves(layer)]


def meeting(plan: Plan) -> int:
    """The index of the one layer that gathers over all examples; the certificate refuses a model in
    which several do, or none. After it nobody reads an example: whoever did would gather too."""
    (index,) = gathering(plan.layers)
    return index


def decoding(plan: Plan) -> int:
    """The index of the first layer after which an example's tokens may depend on the query: one
    whose support holds the query's tokens, or the meeting. The layers before it encode."""
    asks = (Support.QUERY, Support.EXAMPLE_AND_QUERY)
    return next(
        i
        for i, layer in enumerate(plan.layers)
        if i == meeting(plan) or (layer.banks and layer.support in asks)
    )


def embed_group(
    plan: Plan,
    x: Float[Array, "g slots d"],
    y: Float[Array, "g d"] | None,
    example: Int[Array, "g"],
) -> tuple[Tokens, Tokens]:
    """The inputs and the last token of groups (examples, or the query if y is None) before the
    first layer."""
    residual, n, dtype = plan.residual, plan.n, x.dtype
    e = position_codes(example, residual.size("e"), dtype).T[:, None]
    found = []
    for role in roles_of(EXAMPLE if y is not None else QUERY):
        slots = np.array(role.slots(n))
        codes = jnp.asarray(position_codes(slots, residual.size("s"), dtype).T[:, :, None])
        stream = {"e": e, "s": codes} | {flag: jnp.ones((1, 1, 1), dtype) for flag in role.flags}
        if role.content == "x":
            stream["x"] = jnp.transpose(x, (2, 1, 0))
        elif role.content == "y" and y is not None:
            stream["y"] = y.T[:, None]
        if "sum" in residual.names and not role.last:
            stream["sum"] = jnp.asarray(slots == n - 2, dtype)[None, :, None]
        found.append(Tokens(stream, len(slots)))
    inputs, last = found
    return inputs, last


def _keys(layer: LayerPlan, name: str, classes: Classes) -> list[Keys]:
    if not layer.banks:  # nothing is read, whatever it declares
        return []
    own = layer.support is Support.SELF
    seen = [
        Keys(key, classes[key], own=own, causal=layer.causal and key == name)
        for key in keys_of(layer.support, name)
        if not layer.causal or key in visible_to(name)
    ]
    return [*seen, Keys(BOS, classes[BOS])]


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
    plan: Plan,
    query: Float[Array, "slots d"],
    observe: Observe | None = None,
    watched: str | None = None,
) -> list[Classes]:
    """BOS and the query before each layer up to the meeting; watched: the layer before which the
    query's inputs are read off, whether the answer depends on them there or not."""
    one = jnp.ones((1, 1, 1), query.dtype)
    inputs, answer = embed_group(plan, query[None], None, jnp.array([plan.m]))
    bos = Tokens(dict.fromkeys(ROLES[BOS].flags, one), 1)
    before = [{BOS: bos, QUERY: inputs, ANSWER: answer}]
    wanted = needed(plan.layers)
    ahead = [layer.name for layer in plan.layers].index(watched) if watched else 0
    for i, layer in enumerate(plan.layers[: meeting(plan)]):
        matter = wanted[i + 1] | ({QUERY} if i < ahead else set())
        names = [name for name in (BOS, QUERY, ANSWER) if name in matter]
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
) -> Shares:
    """Run a chunk of examples, the first of which has index `first`, up to the meeting: its share
    of that softmax."""
    inputs, label = embed_group(plan, x, y, first + jnp.arange(len(x)))
    classes = {INPUT: inputs, LABEL: label}
    return gather(plan, before, advance(plan, before, classes, 0, None, screen, observe), real)


def advance(
    plan: Plan,
    before: list[Classes],
    classes: Classes,
    start: int,
    stop: int | None = None,
    screen: Screen | None = None,
    observe: Observe | None = None,
) -> Classes:
    """Examples before layer `start` as they are before layer `stop` (None: the meeting)."""
    wanted = needed(plan.layers)
    for i in range(start, meeting(plan) if stop is None else stop):
        names = [name for name in (INPUT, LABEL) if name in wanted[i + 1]]
        classes = _advance(plan, plan.layers[i], before[i] | classes, names, screen, observe)
        classes = {name: classes[name] for name in names}
    return classes


def repeated(plan: Plan) -> int:
    """The numbers by which each chunk of examples multiplies the same few vectors, if it does not
    find the products made (`fixed`)."""
    return sum(
        block.data.size
        for layer in plan.layers[: meeting(plan)]
        for bank in layer.banks
        for block in bank.matrices.values()
    )


def fixed(plan: Plan, before: list[Classes]) -> list[list[Fixed]]:
    """What the heads of each layer before the meeting make of vectors that are the same beside
    every example, by bank: those that BOS and the query hold, and those that every example copied
    from them. `Plan.holding` keeps it."""
    # Two blank examples go along to show what examples copy: of a single one nothing is left as a
    # mixture.
    x = dense(before[0][QUERY].stream["x"])  # (d, slots, 1)
    blank = jnp.zeros((2, x.shape[1], x.shape[0]), x.dtype)
    inputs, label = embed_group(plan, blank, blank[:, 0], jnp.arange(2))
    classes, found = {INPUT: inputs, LABEL: label}, []
    for i, layer in enumerate(plan.layers[: meeting(plan)]):
        read = {BOS}.union(*(keys_of(layer.support, name) for name in classes))
        vectors: dict[tuple[str, bool], Stream] = {
            (role, False): tokens.stream for role, tokens in before[i].items() if role in read
        }
        vectors |= {
            (role, True): {
                name: values.basis[:, :, None]
                for name, values in tokens.stream.items()
                if isinstance(values, Mixed)
            }
            for role, tokens in classes.items()
        }
        made = [
            {keys: fixed_values(bank, stream) for keys, stream in vectors.items()}
            for bank in layer.banks
        ]
        found.append([{keys: some for keys, some in one.items() if some} for one in made])
        classes = advance(plan, before, classes, i, i + 1)
    return found


def gather(
    plan: Plan,
    before: list[Classes],
    classes: Classes,
    real: Bool[Array, "g"],
    times: Float[Array, "g"] | None = None,
) -> Shares:
    """The examples' share of the softmax at the meeting; `times`: each stands for so many that are
    alike."""
    last, wanted = meeting(plan), needed(plan.layers)
    layer = plan.layers[last]
    met = Keys(GATHERS[layer.support], classes[GATHERS[layer.support]])
    names = (
        (QUERY, ANSWER) if layer.causal else (BOS, QUERY, ANSWER)
    )  # under a causal mask BOS sees no example
    queries = {name: before[last][name] for name in names if name in wanted[last + 1]}
    return {
        name: [_part(bank, query, met, real, times) for bank in layer.banks]
        for name, query in queries.items()
    }


def _part(
    bank: BankPlan,
    query: Tokens,
    keys: Keys,
    real: Bool[Array, "g"] | None = None,
    times: Float[Array, "g"] | None = None,
) -> Share:
    scores = score(bank.terms, query, keys, bank.count)
    if real is not None:
        scores = jnp.where(real, jnp.broadcast_to(scores, (*scores.shape[:3], len(real))), -jnp.inf)
    scores = jnp.broadcast_to(scores, (scores.shape[0], query.slots, *scores.shape[2:]))
    top = scores.max((2, 3))
    weight = jnp.exp(scores - _finite(top)[:, :, None, None])
    if times is not None:
        # Equal keys have equal weights: c of them weigh c times as much as one, which rounds less
        # than log(c) more in the score would.
        weight = weight * times
    # Padding has a score of -inf, hence weight 0, and is 0 in the prompt, hence has a finite value.
    value = apply(bank.value, keys.tokens.stream)
    if value is None:
        moved = jnp.zeros((bank.count, bank.width, query.slots), scores.dtype)
    else:
        moved = (
            jnp.broadcast_to(value, (bank.count, *value.shape[1:]))[:, :, None] * weight[:, None]
        )
        moved = halved_sum(moved.reshape(*moved.shape[:3], -1))
    return Share(top, halved_sum(weight.reshape(*weight.shape[:2], -1)), moved)


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


def stacked(*parts: Share) -> Share:
    """Shares on a first axis, on the host, where stacking a few small arrays takes no call of the
    device; filled up to a power of two with shares of no keys, so that few counts compile."""
    missing = (1 << (len(parts) - 1).bit_length()) - len(parts)

    def stack(leaves: Iterable[Any], fill: float) -> Any:
        together = np.stack(list(leaves))
        pads = [(0, missing)] + [(0, 0)] * (together.ndim - 1)
        return np.pad(together, pads, constant_values=fill)

    top, total, value = zip(*parts, strict=True)
    return Share(stack(top, -np.inf), stack(total, 0), stack(value, 0))


def combine(parts: Share) -> Share:
    """Many shares of a softmax, stacked on a first axis, as one; the sums by halves."""
    top = parts.top.max(0)
    scale = jnp.exp(parts.top - _finite(top))
    total, value = parts.total * scale, parts.value * scale[:, :, None]
    return Share(
        top, halved_sum(jnp.moveaxis(total, 0, -1)), halved_sum(jnp.moveaxis(value, 0, -1))
    )


def combine_all(parts: Shares) -> Shares:
    """`combine` for every class of query tokens and every bank."""
    return {name: [combine(part) for part in banks] for name, banks in parts.items()}


def finish(plan: Plan, before: list[Classes], parts: Shares) -> Tokens:
    """The answer token after the last layer: the examples' share of the meeting against BOS, then
    the layers that follow."""
    last, wanted = meeting(plan), needed(plan.layers)
    layer, classes = plan.layers[last], dict(before[-1])
    for name, banks in parts.items():
        out = {}
        for bank, part in zip(layer.banks, banks, strict=True):
            bos = _part(bank, before[-1][name], Keys(BOS, before[-1][BOS]))
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
