"""Training Theorem 1's weights back from noise: does Adam find the mechanism again?

Every matrix gets Gaussian noise of a share of its own length, and all of them are trained on fresh
prompts that mix the tasks, by the squared distance of the answer from the definition's,
sum_i (m_i/M) W_i x. Nothing else is held on to: no pattern, no code, no coordinate.

The coldness is 8 and not the default, at which the softmax is hard: a hard softmax has no slope,
so nothing could be learned. Heads that are built to idle stay as they are: noise of a share of 0
is 0, and without weights there is no slope.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from construct import Transformer
from construct.families.letters import ret
from construct.theorem1 import build
from verify.train.checkpoint import read, write
from verify.train.loop import SMOOTHING, going
from verify.train.tasks import Tasks

FORMAT = "superposed-tasks weights from noise"
LAST_RATE, CLIP = 1e-5, 1.0
# The smoothed loss from which the answers count as right again: off by 0.03 (root mean square),
# where a constant answer is off by 0.6.
NEAR = 1e-3
HELD_OUT = 256  # prompts by which weights are judged
HEADS, MLP = ("W_Q", "W_K", "W_V", "W_O"), ("W_1", "W_2")
Weights = dict[str, Array]


@dataclass(frozen=True)
class NoiseRun:
    """One run: the tasks ret1..retK, lines of a prompt, coldness, noise as a share of each matrix's
    Frobenius norm; steps and batch of Adam, whose rate falls from `rate` in a line."""

    name: str
    K: int
    lines: int
    noise: float
    coldness: float = 8.0
    steps: int = 1500
    batch: int = 32
    rate: float = 2e-4
    seed: int = 0

    def as_json(self) -> dict[str, Any]:
        """The run as plain values."""
        return asdict(self)

    @property
    def tasks(self) -> Tasks:
        """Where the prompts' words and answers come from."""
        return Tasks("ret", self.K, self.lines)

    def built(self) -> Transformer:
        """The construction that the noise is added to."""
        family = ret(self.K)
        spec = replace(family.spec(self.lines), coldness=self.coldness)
        return build(spec, family.tasks)

    def noisy(self) -> Weights:
        """Where training starts."""
        rng, found = self._rng(0), {}
        for name, exact in weights_of(self.built()).items():
            drawn = rng.standard_normal(exact.shape)
            size = self.noise * np.linalg.norm(exact) / np.linalg.norm(drawn)
            found[name] = exact + jnp.asarray(size * drawn, exact.dtype)
        return found

    def held_out(self) -> "Prompts":
        """Prompts that no step is trained on."""
        return draw(self, self._rng(1), HELD_OUT)

    def _rng(self, purpose: int) -> np.random.Generator:
        # Step i's prompts are of (seed, i), so these are no step's.
        return np.random.default_rng([self.seed, self.steps + purpose])


@dataclass
class NoiseProgress:
    """Where a run stands. loss: smoothed. solved: the first step at which it was below NEAR. curve:
    (step, loss), every 10 steps. judged: by 'built', 'noisy' and 'trained' weights, how far answers
    of held-out prompts are off (root mean square) and how far the weights are from the built ones,
    as a share of their length."""

    step: int = 0
    loss: float = 0.0
    solved: int | None = None
    seconds: float = 0.0
    curve: list[list[float]] = field(default_factory=list)
    judged: dict[str, dict[str, float]] = field(default_factory=dict)

    def after(self, loss: float) -> "NoiseProgress":
        """One step further."""
        smooth = loss if self.step == 0 else SMOOTHING * self.loss + (1 - SMOOTHING) * loss
        curve = self.curve
        if self.step % 10 == 0:
            curve = [*curve, [self.step, float(f"{loss:.4g}")]]
        solved = self.step if self.solved is None and smooth < NEAR else self.solved
        return replace(self, step=self.step + 1, loss=smooth, solved=solved, curve=curve)

    def finished(self, run: NoiseRun) -> bool:
        """Whether the run is at its end."""
        return self.step >= run.steps

    def told(self) -> str:
        """Where it stands, in words."""
        return f"loss {self.loss:.2g}"


class Prompts(NamedTuple):
    """Prompts as vectors, and the definition's answers."""

    inputs: Float[np.ndarray, "B m slots d"]
    labels: Float[np.ndarray, "B m d"]
    query: Float[np.ndarray, "B slots d"]
    goals: Float[np.ndarray, "B d"]


def draw(run: NoiseRun, rng: np.random.Generator, count: int) -> Prompts:
    """Prompts each of which mixes the tasks in shares of its own, evenly drawn from all."""
    words = run.tasks.draw(rng, count, run.lines + 1)
    answers = run.tasks.answers(words)[..., 0]
    shares = rng.dirichlet(np.ones(run.K), count)
    tasks = np.stack([rng.choice(run.K, run.lines, p=share) for share in shares])
    labels = np.take_along_axis(answers[:, :-1], tasks[..., None], -1)[..., 0]
    counted = (tasks[..., None] == np.arange(run.K)).mean(1)
    vectors = np.eye(len(run.tasks.symbols) - 1, dtype=np.float32)
    goals = np.einsum("bk,bkd->bd", counted, vectors[answers[:, -1]])
    inputs = vectors[words]
    return Prompts(inputs[:, :-1], vectors[labels], inputs[:, -1], goals.astype(np.float32))


def weights_of(model: Transformer) -> Weights:
    """The matrices of the heads that do not idle and of the MLPs, as '3.recognize.W_Q'."""
    return {name: jnp.asarray(parameter[...]) for name, parameter in _parameters(model)}


def put(model: Transformer, weights: Mapping[str, Any]) -> Transformer:
    """The model with these weights in the place of its own."""
    for name, parameter in _parameters(model):
        parameter[...] = jnp.asarray(weights[name])
    model.forget_built()
    return model


def _parameters(model: Transformer) -> Iterator[tuple[str, Any]]:
    """Each layer has one bank of heads that do not idle, or none."""
    for i, layer in enumerate(model.layers):
        parts: list[Any] = [bank for bank in layer.banks if not bank.idle]
        parts += [] if layer.mlp is None else [layer.mlp]
        for part in parts:
            for name in (*HEADS, *MLP):
                if hasattr(part, name):
                    yield f"{i + 1}.{layer.name}.{name}", getattr(part, name)


def attend(h: Float[Array, "N D"], w: Mapping[str, Array]) -> Float[Array, "N D"]:
    """What a layer's heads add. The evaluators' own pass rounds with more care than a gradient
    needs, and takes XLA minutes to differentiate; a test holds the two together."""
    q, k, v = (jnp.einsum("nd,had->hna", h, w[name]) for name in ("W_Q", "W_K", "W_V"))
    pattern = jax.nn.softmax(q @ k.swapaxes(1, 2), -1)
    return jnp.einsum("hnv,hdv->nd", pattern @ v, w["W_O"])


def forward(weights: Weights, stream: Float[Array, "N D"]) -> Float[Array, "N D"]:
    """The stream after the last layer, of a prompt that is not padded."""
    layers: dict[str, dict[str, Array]] = {}
    for name, value in weights.items():
        layer, _, matrix = name.rpartition(".")
        layers.setdefault(layer, {})[matrix] = value
    h = stream
    for _, w in sorted(layers.items()):  # by number
        h = h + attend(h, w)
        if "W_1" in w:
            h = h + jax.nn.relu(h @ w["W_1"].T) @ w["W_2"].T
    return h


def loss_of(weights: Weights, streams: Array, goals: Array, where: Array) -> Array:
    """Mean squared distance of the answers from the definition's."""
    found = jax.vmap(lambda one: forward(weights, one)[-1, where])(streams)
    return jnp.square(found - goals).sum(-1).mean()


def optimizer(run: NoiseRun) -> optax.GradientTransformation:
    """Adam, with the gradient clipped and a rate that falls in a line."""
    rate = optax.linear_schedule(run.rate, LAST_RATE, run.steps)
    return optax.chain(optax.clip_by_global_norm(CLIP), optax.adam(rate))


@partial(jax.jit, static_argnames=("run",))
def update(
    weights: Weights, state: Any, streams: Array, goals: Array, where: Array, *, run: NoiseRun
) -> tuple[Weights, Any, Array]:
    """One step: new weights and state, and the loss before it."""
    loss, slope = jax.value_and_grad(loss_of)(weights, streams, goals, where)
    change, state = optimizer(run).update(slope, state, weights)
    return optax.apply_updates(weights, change), state, loss  # pyright: ignore[reportReturnType]


def train(
    run: NoiseRun, resume: Path | None = None, every: float = 60.0
) -> Iterator[tuple[Weights, NoiseProgress]]:
    """Train, and yield the weights and where it stands after every 10 steps and at the end; resume
    as in `verify.train.loop.train`."""
    model, start = run.built(), run.noisy()
    exact = weights_of(model)
    where = jnp.arange(model.residual.dim)[model.residual.where("y")]
    embed = jax.jit(lambda *prompts: model.embed(*prompts)[0])

    def judge(weights: Weights) -> dict[str, float]:
        prompts = run.held_out()
        loss = jax.jit(loss_of)(weights, embed(*prompts[:3]), jnp.asarray(prompts.goals), where)
        return {"off": float(loss) ** 0.5, "distance": distance(weights, exact)}

    def step(weights: Weights, state: Any, progress: NoiseProgress) -> tuple[Any, Any, Any]:
        prompts = draw(run, np.random.default_rng([run.seed, progress.step]), run.batch)
        streams, goals = embed(*prompts[:3]), jnp.asarray(prompts.goals)
        weights, state, loss = update(weights, state, streams, goals, where, run=run)
        progress = progress.after(float(loss))
        if progress.finished(run):
            progress.judged = progress.judged | {"trained": judge(weights)}
        return weights, state, progress

    progress = NoiseProgress(judged={"built": judge(exact), "noisy": judge(start)})
    held = start, optimizer(run).init(start)
    return going(run, held, progress, step, resume, every)


def distance(weights: Weights, exact: Weights) -> float:
    """How far weights are from others, as a share of the others' length."""
    off = sum(float(jnp.square(weights[name] - one).sum()) for name, one in exact.items())
    return (off / sum(float(jnp.square(one).sum()) for one in exact.values())) ** 0.5


class Kept(NamedTuple):
    """What a file holds."""

    run: NoiseRun
    weights: Weights
    progress: NoiseProgress

    @property
    def model(self) -> Transformer:
        """The transformer with the trained weights."""
        return put(self.run.built(), self.weights)


def save(path: Path, kept: Kept) -> None:
    """Write a checkpoint. Raises ValueError where safetensors is missing."""
    about = {"run": kept.run.as_json(), "progress": asdict(kept.progress)}
    write(path, FORMAT, kept.weights, about)


def load(path: Path) -> Kept:
    """The checkpoint of a file. Raises ValueError for a file that `save` did not write."""
    weights, about = read(path, FORMAT)
    arrays = {name: jnp.asarray(one) for name, one in weights.items()}
    return Kept(NoiseRun(**about["run"]), arrays, NoiseProgress(**about["progress"]))
