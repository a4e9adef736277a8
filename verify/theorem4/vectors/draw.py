"""Random tasks and prompts of unit vectors for Theorem 4.

Every task maps one unit vector to the same L answers, whatever its matrices: an example that shows
it in a slot which several tasks read is ambiguous. With kind 'share', tasks also have their first
matrices in common, so that only a later vector tells them apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from construct import Spec
from construct.theorem4.vectors import spec_of
from construct.vectors import VectorPrompt, VectorTask
from verify.draw import Impossible, check_counts, draw_shares
from verify.theorem4.vectors.definition import check_answers, judge

KINDS = ("free", "share")
# Two random vectors are nearer than this about once in a thousand at d = 3, and ever more seldom.
MARGIN = 0.3
# Answers are off by up to this share of the tolerance, so that not only exact fits are tried.
ANSWER_NOISE = 0.5
TRIES = 1000
# Tasks of which none of so many queries tells any two apart are drawn again.
QUERIES = 4


@dataclass(frozen=True, eq=False)
class Instance:
    """Random tasks of vectors with their Spec; `shared` is the input on which all of them agree.
    feature_map: there is none."""

    spec: Spec
    tasks: list[VectorTask]
    shared: Float[np.ndarray, "d"]
    feature_map: None = None


def draw_instance(
    rng: np.random.Generator,
    *,
    K: int,
    d: int,
    m: int,
    n: int,
    L: int | None = None,
    kind: str = "share",
    margin: float = MARGIN,
    fallback: bool = False,
    coldness: float | None = None,
    dtype: str = "float32",
) -> Instance:
    """K random orthogonal tasks of L vectors (default: half of a line, n // 2) in dimension d.

    The first two tasks read one slot, so that some examples are ambiguous. Raises Impossible below
    d = 3, where too few orthogonal matrices agree on a vector."""
    if d < 3:
        raise Impossible(f"d = {d}: tasks that agree on one vector and differ need d >= 3; raise d")
    L = max(n // 2, 1) if L is None else L
    S = n - 1 - L
    more = {"fallback": fallback, "coldness": coldness, "dtype": dtype}
    for _ in range(TRIES):
        shared, tasks = _tasks(rng, K, d, S, L, kind)
        spec = spec_of(tasks, m=m, S=S, margin=margin, **more)
        if any(_told_apart(spec, tasks, unit(rng, S, d)) for _ in range(QUERIES)):
            return Instance(spec, tasks, shared)
    raise Impossible(f"no {K} tasks a margin of {margin:g} apart were found; lower K or raise d")


def _tasks(
    rng: np.random.Generator, K: int, d: int, S: int, L: int, kind: str
) -> tuple[Float[np.ndarray, "d"], list[VectorTask]]:
    """The vector about which all tasks say the same, and the tasks."""
    shared, answers = unit(rng, d), unit(rng, L, d)
    common = np.array([_sending(rng, shared, answer) for answer in answers])
    tasks: list[VectorTask] = []
    for i in range(K):
        slot = tasks[0].slot if i == 1 else int(rng.integers(S))
        matrices = np.array([_sending(rng, shared, answer) for answer in answers])
        if kind == "share":
            first = int(rng.integers(L))
            matrices[:first] = common[:first]
        tasks.append(VectorTask(slot, matrices))
    return shared, tasks


def _told_apart(spec: Spec, tasks: Sequence[VectorTask], query: Float[np.ndarray, "S d"]) -> bool:
    """Whether two tasks say the same about a query, or vectors that are the margin apart."""
    try:
        check_answers(spec, tasks, query)
    except ValueError:
        return False
    return True


def unit(rng: np.random.Generator, *shape: int) -> Float[np.ndarray, "*shape"]:
    """Random unit vectors, along the last axis."""
    found = rng.normal(size=shape)
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def _sending(
    rng: np.random.Generator, start: Float[np.ndarray, "d"], end: Float[np.ndarray, "d"]
) -> Float[np.ndarray, "d d"]:
    """A random orthogonal matrix that maps one unit vector to another."""
    d = len(start)
    inner = np.eye(d)
    inner[1:, 1:] = np.linalg.qr(rng.normal(size=(d - 1, d - 1)))[0]
    return _basis(rng, end) @ inner @ _basis(rng, start).T


def _basis(rng: np.random.Generator, first: Float[np.ndarray, "d"]) -> Float[np.ndarray, "d d"]:
    """A random orthonormal basis, as columns, of which this is the first."""
    columns = np.concatenate([first[:, None], rng.normal(size=(len(first), len(first) - 1))], 1)
    basis = np.linalg.qr(columns)[0]
    return basis * np.sign(basis[:, 0] @ first)


def draw_prompt(
    rng: np.random.Generator,
    instance: Instance,
    *,
    examples: int | None = None,
    noise: int | None = 0,
    shares: Sequence[float] | np.ndarray | None = None,
    ambiguous: int = 0,
    pure: bool = False,
    said: int = 0,
) -> VectorPrompt:
    """A prompt of `examples` examples (default m), each of a task drawn with probability `shares`
    (default: random unequal ones).

    noise: so many of them have random answers; None: each may be spoiled in one way or another.
    ambiguous: so many are explained by two tasks at least. pure: all examples are of one task.
    said: so many vectors of the answer of the most prevalent task are said. Raises Impossible where
    there are fewer examples than asked for, or no decided prompt is found."""
    spec = instance.spec
    examples = spec.m if examples is None else examples
    check_counts(spec.K, examples, noise or 0, ambiguous)
    shares = draw_shares(rng, spec.K, pure) if shares is None else shares
    for _ in range(TRIES):
        prompt = _drawn(rng, instance, examples, noise, np.asarray(shares), ambiguous)
        try:
            verdict = judge(spec, instance.tasks, prompt)
            check_answers(spec, instance.tasks, prompt.query)
            if not said:
                return prompt
            task = instance.tasks[int(verdict.counts.argmax())]
            return prompt.after(task.matrices[:said] @ prompt.query[task.slot])
        except ValueError:
            continue
    raise Impossible(f"no prompt was found in {TRIES} tries that keeps the margin; lower it")


def _drawn(
    rng: np.random.Generator,
    instance: Instance,
    examples: int,
    noise: int | None,
    shares: np.ndarray,
    ambiguous: int,
) -> VectorPrompt:
    spec, tasks = instance.spec, instance.tasks
    S, L, d = spec.n - 1 - spec.L, spec.L, spec.d
    inputs = unit(rng, examples + 1, S, d)
    chosen = rng.choice(spec.K, p=shares, size=examples)
    order = rng.permutation(examples)
    off, alike = order[: noise or 0], order[noise or 0 :][:ambiguous]
    inputs[alike, tasks[0].slot] = instance.shared
    chosen[alike] = 0
    answers = np.array(
        [tasks[i].matrices @ row[tasks[i].slot] for i, row in zip(chosen, inputs, strict=False)]
    )
    answers = answers + ANSWER_NOISE * spec.tolerance / np.sqrt(L) * unit(rng, examples, L, d)
    answers /= np.linalg.norm(answers, axis=-1, keepdims=True)
    for j in range(examples):
        if noise is None and rng.random() < 0.2:
            answers[j, rng.integers(L) :] = unit(rng, d)
    answers[off] = unit(rng, len(off), L, d)
    return VectorPrompt(inputs[:-1], answers, inputs[-1])
