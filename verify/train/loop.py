"""The training loop: AdamW, a curriculum over tasks, a checkpoint from which it goes on.

Step i's prompts are drawn from (seed, i) alone, so that a run that was cut off and taken up again
is the same run.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from construct import checks
from verify.decoder import Decoder, Shape, logits_of
from verify.train.tasks import Tasks

P = TypeVar("P", bound=Any)  # where a run of a kind stands

RATE, WARMUP, CLIP, BETAS, DECAY = 1e-3, 200, 1.0, (0.9, 0.98), 0.01
# The curriculum: start with two tasks, one more whenever the smoothed loss is below NEXT. A loss
# that stands at ln(tasks) copies an answer without inferring which; from few tasks it learns to.
FIRST, NEXT, SMOOTHING = 2, 0.35, 0.95
# Steps after the last task came in and the loss is below NEXT again.
POLISH = 300


@dataclass(frozen=True)
class Run:
    """One training run: what is trained on what, and for how many steps at most."""

    name: str
    shape: Shape
    tasks: Tasks
    steps: int
    batch: int = 64
    seed: int = 0

    def as_json(self) -> dict[str, Any]:
        """The run as plain values."""
        return asdict(self)

    @classmethod
    def of(cls, plain: dict[str, Any]) -> "Run":
        """The run that `as_json` wrote."""
        parts = {"shape": Shape(**plain["shape"]), "tasks": Tasks(**plain["tasks"])}
        return cls(**(plain | parts))


@dataclass
class Progress:
    """Where a run stands. loss: smoothed. solved: the step at which the last task was learned.
    curve: (step, loss, tasks in play), every 10 steps."""

    step: int = 0
    loss: float = 0.0
    in_play: int = FIRST
    solved: int | None = None
    seconds: float = 0.0
    curve: list[list[float]] | None = None

    def after(self, loss: float, K: int) -> "Progress":
        """One step further; the next task comes in when the loss is low."""
        fresh = loss if self.step == 0 else SMOOTHING * self.loss + (1 - SMOOTHING) * loss
        in_play, solved = self.in_play, self.solved
        if fresh < NEXT and in_play < K:
            in_play, fresh = in_play + 1, max(float(np.log(in_play + 1)), NEXT)
        elif fresh < NEXT and solved is None:
            solved = self.step
        curve = self.curve or []
        if self.step % 10 == 0:
            curve = [*curve, [self.step, round(loss, 4), self.in_play]]
        return Progress(self.step + 1, fresh, in_play, solved, self.seconds, curve)

    def finished(self, run: Run) -> bool:
        """Whether the run is at its end."""
        return self.step >= run.steps or (
            self.solved is not None and self.step >= self.solved + POLISH
        )

    def told(self) -> str:
        """Where it stands, in words."""
        return f"loss {self.loss:.3f}, {self.in_play} tasks"


OPTIMIZER = optax.chain(
    optax.clip_by_global_norm(CLIP),
    optax.adamw(optax.warmup_constant_schedule(0, RATE, WARMUP), *BETAS, weight_decay=DECAY),
)


def loss_of(
    weights: dict[str, Array], tokens: Array, answers: Array, shape: Shape, tasks: Tasks
) -> Array:
    """Mean cross-entropy of the answers of all lines, summed over an answer's words."""
    logits = jax.vmap(lambda one: logits_of(weights, one, shape, tasks.rows))(tokens)
    each = optax.softmax_cross_entropy_with_integer_labels(logits, answers.reshape(len(tokens), -1))
    return each.mean() * tasks.words


@partial(jax.jit, static_argnames=("shape", "tasks"))
def update(
    weights: dict[str, Array],
    state: Any,
    tokens: Array,
    answers: Array,
    *,
    shape: Shape,
    tasks: Tasks,
) -> tuple[dict[str, Array], Any, Array]:
    """One step of the optimizer: new weights and state, and the loss before it."""
    loss, slope = jax.value_and_grad(loss_of)(weights, tokens, answers, shape, tasks)
    change, state = OPTIMIZER.update(slope, state, weights)
    return optax.apply_updates(weights, change), state, loss  # pyright: ignore[reportReturnType]


def train(
    run: Run, resume: Path | None = None, every: float = 60.0
) -> Iterator[tuple[Decoder, Progress]]:
    """Train, and yield the decoder and where it stands after every 10 steps and at the end.

    resume: a file in which the whole state is kept every so many seconds, and taken up again.
    """

    def step(weights: Any, state: Any, progress: Progress) -> tuple[Any, Any, Progress]:
        rng = np.random.default_rng([run.seed, progress.step])
        batch = run.tasks.batch(rng, run.batch, progress.in_play)
        tokens, answers = map(jnp.asarray, batch)
        weights, state, loss = update(
            weights, state, tokens, answers, shape=run.shape, tasks=run.tasks
        )
        return weights, state, progress.after(float(loss), run.tasks.K)

    weights = Decoder.random(run.shape, run.seed).weights
    held = weights, OPTIMIZER.init(weights)
    for weights, progress in going(run, held, Progress(), step, resume, every):
        yield Decoder(run.shape, weights), progress


def going(
    run: Any,
    held: tuple[Any, Any],
    progress: P,
    step: Callable[[Any, Any, P], tuple[Any, Any, P]],
    resume: Path | None,
    every: float,
) -> Iterator[tuple[Any, P]]:
    """Go on from weights, the optimizer's state and a progress until it is finished, and yield
    weights and progress after every 10 steps and at the end; resume, every: as in `train`."""
    weights, state = held
    if resume is not None and resume.exists():
        weights, state, progress = _restore(resume, run, weights, state, type(progress))
    started, kept = time.perf_counter() - progress.seconds, time.perf_counter()
    while not progress.finished(run):
        weights, state, progress = step(weights, state, progress)
        progress.seconds = time.perf_counter() - started
        last = progress.finished(run)
        if resume is not None and (last or time.perf_counter() - kept > every):
            _keep(resume, run, weights, state, progress)
            kept = time.perf_counter()
        if last or progress.step % 10 == 0:
            yield weights, progress


def _keep(path: Path, run: Any, weights: Any, state: Any, progress: Any) -> None:
    leaves = jax.tree.leaves((weights, state))
    arrays = {str(i): np.asarray(leaf) for i, leaf in enumerate(leaves)}
    text = json.dumps([run.as_json(), asdict(progress)])
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, allow_pickle=False, about=np.array(text), **arrays)  # pyright: ignore
    part.replace(path)


def _restore(
    path: Path, run: Any, weights: Any, state: Any, kind: Callable[..., P]
) -> tuple[Any, Any, P]:
    with np.load(path) as kept:
        own, progress = json.loads(str(kept["about"]))
        if own != json.loads(json.dumps(run.as_json())):
            raise checks.refuse(
                "resume", path, "must be of the same run", "remove the file, or name another"
            )
        leaves, form = jax.tree.flatten((weights, state))
        fresh = [jnp.asarray(kept[str(i)]) for i in range(len(leaves))]
    return *jax.tree.unflatten(form, fresh), kind(**progress)
