"""Training from the construction: Theorem 3's weights plus noise, every entry of every matrix free.

Prompts are of one task each, as for the other trained subjects; the loss is the squared distance of
the answer from the task's. The noise of a matrix is `share` of its Frobenius norm, spread evenly.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array

from construct import Transformer
from construct.families.letters import ret
from construct.theorem3 import build
from verify.train.tasks import Tasks

LETTERS, LINES = 4, 16
# Cold enough that the lemmas' conditions hold, warm enough that attention has slopes.
COLDNESS = 8.0
RATE, CLIP, BATCH = 3e-4, 1.0, 32


@dataclass(frozen=True)
class NoisyRun:
    """One run: the noise's share, the steps, the seed."""

    name: str
    share: float
    steps: int = 1500
    seed: int = 0


RUNS = {one.name: one for one in (NoisyRun("theorem3-noise.01", 0.01),)}


def constructed() -> Transformer:
    """Theorem 3 on ret1..ret4, in float32."""
    family = ret(LETTERS)
    spec = replace(family.spec(LINES), dtype="float32", coldness=COLDNESS)
    return build(spec, family.tasks)


def disturbed(model: Transformer, share: float, seed: int) -> Transformer:
    """The model with noise on every matrix."""
    rng = np.random.default_rng(seed)

    def noisy(value: Array) -> Array:
        size = float(jnp.linalg.norm(value)) / np.sqrt(max(value.size, 1))
        return value + share * size * rng.standard_normal(value.shape).astype(np.float32)

    form, state = nnx.split(model)
    return nnx.merge(form, jax.tree.map(noisy, state))


def batch(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Prompts of one task each: inputs, labels, queries and answers as one-hot vectors."""
    tasks = Tasks("ret", LETTERS, LINES + 1)
    words = tasks.draw(rng, BATCH, LINES + 1)
    task = np.broadcast_to(rng.integers(0, LETTERS, (BATCH, 1, 1)), (BATCH, LINES + 1, 1))
    answers = np.take_along_axis(tasks.answers(words), task, -1)[..., 0]
    letters = np.eye(len(tasks.symbols) - 1, dtype=np.float32)
    x, y = letters[words], letters[answers]
    return x[:, :-1], y[:, :-1], x[:, -1], y[:, -1]


def train(run: NoisyRun) -> Iterator[tuple[Transformer, int, float, float]]:
    """Train, and yield the model, the step, its loss and the seconds, every 10 steps."""
    form, state = nnx.split(disturbed(constructed(), run.share, run.seed))
    optimizer = optax.chain(optax.clip_by_global_norm(CLIP), optax.adam(RATE))

    def loss_of(state: Any, x: Array, y: Array, q: Array, goal: Array) -> Array:
        model = nnx.merge(form, state)
        out = model.forward(*model.embed(x, y, q))
        return jnp.square(model.residual.read(out[..., -1, :], "y") - goal).sum(-1).mean()

    @jax.jit
    def update(state: Any, memory: Any, *prompts: Array) -> tuple[Any, Any, Array]:
        loss, slope = jax.value_and_grad(loss_of)(state, *prompts)
        change, memory = optimizer.update(slope, memory, state)
        return optax.apply_updates(state, change), memory, loss

    memory, started = optimizer.init(state), time.perf_counter()
    for step in range(run.steps + 1):
        prompts = batch(np.random.default_rng([run.seed, step]))
        state, memory, loss = update(state, memory, *prompts)
        if step % 10 == 0:
            yield nnx.merge(form, state), step, float(loss), time.perf_counter() - started
