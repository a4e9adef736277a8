"""The reference evaluator: the dense layers, unchanged, on the few tokens that the supports allow.

This is the restricted evaluator's idea without its machinery, and what it is tested against. By
the declared supports an example's tokens attend to BOS, to themselves and to the query, until one
layer gathers over all examples; after that only the query's tokens matter. So:

1. every example is run by itself, as the prompt [BOS, one example, query], up to that layer;
2. there BOS and each token of the query attend to all examples, one such token at a time;
3. the layers that follow run on BOS and the query.

Time and memory are linear in the examples. That no token attends outside its support is for
`construct.evaluate.certificate` to say; where it does not hold, this is not the model's answer.
"""

from collections.abc import Iterable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from construct.evaluate.dense import apply_layer, over_prompts, read_layer
from construct.evaluate.supports import GATHERS
from construct.layers import Layer, Stack, in_dtype
from construct.prompt import Batch, Prompt, batch_of, embed
from construct.readout import Readings, Readout
from construct.residual import Residual


def read_prompt(stack: Stack, prompt: Prompt) -> Readings:
    """The readings of one checked prompt, on the host; the model's certificate must be valid."""
    with in_dtype(stack.spec.dtype):
        batch = jax.tree.map(lambda part: part[0], batch_of([prompt], stack.spec))
        readings = _read(
            stack.layers,
            batch,
            np.array(stack.slots),
            readout=stack.readout,
            residual=stack.residual,
            m=stack.spec.m,
        )
    return jax.tree.map(np.asarray, readings)


@partial(jax.jit, static_argnames=("readout", "residual", "m"))
def _read(
    layers: Iterable[Layer],
    batch: Batch,
    slots: Int[Array, "K"],
    *,
    readout: Readout,
    residual: Residual,
    m: int,
) -> Readings:
    layers = list(layers)
    (gathers,) = (i for i, layer in enumerate(layers) if layer.support in GATHERS)
    stream, real = embed(batch, residual, m)
    n = len(batch.query) + 1
    bos, examples, query = jnp.split(stream, [1, len(stream) - n])

    def alone(example: Float[Array, "n D"]) -> tuple[Array, dict[str, Array]]:
        """Step 1 for one example: the stream of [BOS, example, query], and what is read of it."""
        few, found = jnp.concatenate([bos, example, query]), {}
        for layer in layers[:gathers]:
            after = apply_layer(layer, few, jnp.ones(len(few), bool))
            found |= read_layer(readout, layer, few, after, slots, residual, examples=1)
            few = after
        return few, found

    scores = max(layer.heads for layer in layers) * (2 * n + 1) ** 2 * stream.dtype.itemsize
    few, found = over_prompts(alone, examples.reshape(-1, n, residual.dim), scores)
    # BOS and the query are the same beside every example.
    met = jnp.concatenate([few[0, :1], few[:, 1 : n + 1].reshape(-1, residual.dim), few[0, -n:]])
    asking = jnp.concatenate([jnp.zeros(1, int), jnp.arange(len(met) - n, len(met))])
    few = jax.lax.map(lambda place: _gather(layers[gathers], met, real, place), asking)
    for layer in layers[gathers + 1 :]:
        few = apply_layer(layer, few, jnp.ones(len(few), bool))
    return Readings(vector=residual.read(few[-1], "y"), **_by_example(found))


def _gather(
    layer: Layer, stream: Float[Array, "N D"], real: Bool[Array, "N"], place: Int[Array, ""]
) -> Float[Array, "D"]:
    """Step 2 for the token at `place`: the layer on the whole prompt, with that token moved to the
    end, where a layer can be asked for it alone; it still sees what it saw at its own place."""
    places = jnp.arange(len(stream))
    others = real & (places != place) & (places < (place if layer.causal else len(stream)))
    moved = jnp.concatenate([stream, stream[place][None]])
    after = apply_layer(layer, moved, jnp.append(others, True), answer_only=True)
    return after[0]


def _by_example(found: dict[str, Array]) -> dict[str, Array]:
    """What was read beside each example, as it is read of the whole prompt: the query's output
    norms stand once, after the examples'."""
    readings = {name: values[:, 0] for name, values in found.items() if name in ("code", "ok")}
    gap, norms = found["gap"], jnp.moveaxis(found["output_norm"], 0, 1)
    norms = jnp.concatenate([norms[:, :, 0], norms[:, :1, 1]], axis=1)
    return readings | {"gap": gap[:, :, 0].T, "output_norm": norms}
