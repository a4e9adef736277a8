"""Which ways are there to get the answers of one batch of prompts, and is each answer right?

`EVALUATORS` is the table, by name; a further way is one more entry. Every way is held against the
definition before it is timed: a benchmark of a wrong answer is worth nothing.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from benchmarks.stacks import STACKS, Padded, padded
from construct import Prompt, Spec, Transformer, build, checks
from construct.evaluate.bf16 import pieces_of
from construct.evaluate.dense import over_prompts, run
from construct.floats import gamma
from construct.layers import in_dtype
from construct.prompt import batch_of, embed
from proofs.theorem1 import error_bound
from verify.draw import Instance, draw_instance, draw_prompt
from verify.oracle import Verdict, judge

# K, d, m, n by name: D = 48, 128, 256 and N = 129, 513, 2045.
SIZES = {"small": (4, 16, 31, 4), "medium": (8, 55, 127, 4), "large": (8, 118, 510, 4)}
# Such a pass takes seconds on a CPU: what a GPU is asked besides.
GPU_SIZE = (16, 64, 2048, 4)


class Unavailable(Exception):
    """This way to an answer is not there: a package is not installed, or the transformer does not
    know it."""


class Way(NamedTuple):
    """One way to the answers: what is timed, and how to read the answers (B, d) off its result."""

    call: Callable[[], object]
    read: Callable[[object], np.ndarray]


@dataclass(frozen=True, eq=False)
class Setting:
    """One batch of full prompts of random tasks: the model, the oracle's answers, and the embedded
    prompts."""

    instance: Instance
    prompts: list[Prompt]

    @property
    def spec(self) -> Spec:
        """The Spec of the tasks."""
        return self.instance.spec

    @cached_property
    def model(self) -> Transformer:
        """The transformer of the tasks."""
        return build(self.spec, self.instance.tasks, self.instance.feature_map)

    @cached_property
    def layers(self) -> list[Padded]:
        """Its weights as other libraries' stacks hold them."""
        return padded(self.model)

    @cached_property
    def embedded(self) -> tuple[Float[Array, "B N D"], Bool[Array, "B N"]]:
        """The residual stream before the first layer, and which tokens are real: here all."""
        batch = jax.tree.map(jnp.asarray, batch_of(self.prompts, self.spec))
        return jax.vmap(lambda one: embed(one, self.model.residual, self.spec.m))(batch)

    def verdicts(self) -> list[Verdict]:
        """The oracle's verdicts, from the definition in NumPy."""
        spec, tasks, feature_map = self.spec, self.instance.tasks, self.instance.feature_map
        return [
            judge(tasks, prompt, spec.tolerance, spec.margin, feature_map, spec.sum_slot)
            for prompt in self.prompts
        ]

    @cached_property
    def answers(self) -> Float[np.ndarray, "B d"]:
        """What the definition says."""
        return np.stack([verdict.vector for verdict in self.verdicts()])

    @property
    def tolerance(self) -> float:
        """The theorem's error bound, and for stacks that sum a mean over N tokens one by one that
        sum's rounding."""
        return error_bound(self.spec) + gamma(self.spec.tokens, self.spec.dtype) * self.spec.radius


def draw_setting(
    size: tuple[int, int, int, int], batch: int, seed: int = 0, one_hot: bool = False
) -> Setting:
    """Random tasks of size (K, d, m, n), and a batch of prompts of m examples; one_hot: functions
    of words."""
    K, d, m, n = size
    rng = np.random.default_rng(seed)
    instance = draw_instance(rng, K=K, d=d, m=m, n=n, one_hot=one_hot)
    return Setting(instance, [draw_prompt(rng, instance) for _ in range(batch)])


def _dense(setting: Setting, narrow: bool = False) -> Way:
    # Handing over the leaves spares JAX a walk through the Flax modules at each call.
    leaves, tree = jax.tree.flatten(setting.model.layers)
    stream, real = setting.embedded
    residual = setting.model.residual
    scores = setting.spec.K * stream.shape[1] ** 2 * stream.dtype.itemsize
    pieces = pieces_of(setting.model) if narrow else None

    @jax.jit
    def forward(leaves: list[Array], stream: Array, real: Array) -> Array:
        layers = jax.tree.unflatten(tree, leaves)
        ask = partial(run, pieces=pieces)
        return over_prompts(
            lambda one: residual.read(ask(layers, *one)[-1], "y"), (stream, real), scores
        )

    def call() -> Array:
        with in_dtype(setting.spec.dtype):
            return forward(leaves, stream, real)

    return Way(call, np.asarray)


def _bf16(setting: Setting) -> Way:
    if not setting.instance.one_hot:
        raise Unavailable("only for one-hot vocabularies: see benchmarks/bf16.py")
    return _dense(setting, narrow=True)


def _asked(setting: Setting, evaluator: str) -> Way:
    if "evaluator" in inspect.signature(Transformer.__call__).parameters:
        ask = partial(setting.model, evaluator=evaluator)
    elif evaluator == "dense":
        ask = setting.model  # the only one there is
    else:
        raise Unavailable(f"this transformer has no evaluator {evaluator!r}")
    return Way(
        lambda: ask(setting.prompts),
        lambda answers: np.stack([answer.vector for answer in answers]),
    )


def _stack(setting: Setting, name: str) -> Way:
    try:
        ask = STACKS[name](setting.layers)
    except ImportError as error:
        package = {"haiku": "dm-haiku"}.get(name, name)
        raise Unavailable(f"{error}; pip install {package}") from None
    stream, _ = setting.embedded

    def call() -> object:
        # As ours: TF32, a GPU's default, would break the scores.
        with jax.default_matmul_precision("highest"):
            return ask(stream)

    where = setting.model.residual.where("y")
    return Way(call, lambda result: np.asarray(result)[:, -1, where])


def _oracle(setting: Setting) -> Way:
    return Way(
        setting.verdicts, lambda verdicts: np.stack([verdict.vector for verdict in verdicts])
    )


# 'dense', 'bf16' and the libraries' stacks go from the embedded prompts to the residual stream,
# jitted; the calls go all the way from Prompts to checked Answers; the oracle is the definition,
# which runs no transformer.
EVALUATORS: dict[str, Callable[[Setting], Way]] = {
    "dense": _dense,
    "bf16": _bf16,
    "dense call": partial(_asked, evaluator="dense"),
    "restricted call": partial(_asked, evaluator="restricted"),
    **{name: partial(_stack, name=name) for name in STACKS},
    "oracle": _oracle,
}


def check(name: str, setting: Setting, answers: np.ndarray) -> float:
    """The worst error of answers against the definition. Raises ValueError when it is beyond the
    tolerance (or NaN)."""
    error = float(np.abs(answers - setting.answers).max())
    if not error <= setting.tolerance:
        raise checks.refuse(
            f"evaluator {name!r}",
            f"an error of {error:.3g}",
            f"must be at most {setting.tolerance:.3g}, the theorem's bound and the rounding of a "
            "mean",
            "it computes something else: check its weights, its scores and its precision before "
            "timing it",
        )
    return error


def dense_flops(setting: Setting) -> int:
    """Multiplications and additions of a dense pass over the batch: live banks, and the answer
    token alone in the last layer."""
    B, N, D = setting.embedded[0].shape
    total = 0
    for i, layer in enumerate(setting.model.layers):
        queries = 1 if i == len(setting.model.layers) - 1 else N
        for bank in layer.banks:
            if bank.idle:
                continue
            H, rank, v = bank.count, bank.W_Q.shape[1], bank.W_V.shape[1]
            total += (
                2
                * H
                * (
                    D * (queries * rank + N * rank + N * v)
                    + queries * N * (rank + v)
                    + queries * v * D
                )
            )
        if layer.mlp is not None:
            total += 4 * queries * D * layer.mlp.W_1.shape[0]
    return B * total


def stack_flops(setting: Setting) -> int:
    """The same of a stack that has K heads of full key size in each layer."""
    B, N, D = setting.embedded[0].shape
    K, key, _ = setting.layers[0].W_Q.shape
    width = len(setting.layers[0].W_1)
    return B * len(setting.layers) * (8 * N * D * key * K + 4 * K * N * N * key + 4 * N * D * width)
