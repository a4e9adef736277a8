"""Random tasks and prompts that satisfy the theorem's hypotheses, with noise and ambiguity on
request.

All tasks map one input x* to the same output t, whatever their matrices and features: an example
that shows x* in a slot which several tasks read is ambiguous. The margin is read off the tasks: a
typical distance between two tasks' outputs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from construct import FeatureMap, Prompt, Spec, Task
from construct.floats import DTYPES
from verify.oracle import features_of, fill

# An example is drawn again until its margin holds; a request that fails this often is called
# impossible.
TRIES = 1000
# Labels are off by up to this share of the tolerance, so that recognition is not tested on exact
# fits alone.
LABEL_NOISE = 0.5


class Impossible(ValueError):
    """No prompt of the requested kind was found, or none can exist."""


@dataclass(frozen=True, eq=False)
class Instance:
    """Random tasks with their Spec; `shared` is the input on which all tasks agree. sphere: tasks
    are orthogonal matrices, and inputs and labels have norm 1. one_hot: tasks are functions of d
    words, and inputs and labels are words."""

    spec: Spec
    tasks: list[Task]
    feature_map: FeatureMap | None
    shared: Float[np.ndarray, "d"]
    sphere: bool = False
    one_hot: bool = False

    @property
    def exact(self) -> bool:
        """Whether labels are outputs to the last bit, and not off by some of the tolerance."""
        return self.sphere or self.one_hot

    @property
    def draw(self) -> "Callable[[np.random.Generator, int], np.ndarray]":
        """How to draw an input, or a label that is noise but for its length."""
        return _word if self.one_hot else _unit if self.sphere else _ball


def draw_instance(
    rng: np.random.Generator,
    *,
    K: int,
    d: int,
    m: int,
    n: int,
    features: int = 0,
    sum_slot: bool = False,
    coldness: float | None = None,
    dtype: str = "float32",
    sphere: bool = False,
    one_hot: bool = False,
) -> Instance:
    """K random tasks on the unit ball: random slots, matrices with singular values in [1/2, 1],
    biases.

    sphere: K random orthogonal matrices instead, on the unit sphere. one_hot: K random functions of
    d words; raises Impossible where there are not so many. Neither goes with the other, or with
    features.
    """
    assert sphere + one_hot + bool(features) <= 1, "one family of tasks"
    input_radius = float(max(n - 2, 1)) if sum_slot else 1.0
    shared = (_word if one_hot else _unit)(rng, d)
    feature_map = _feature_map(rng, features, d) if features else None
    target = _word(rng, d) if one_hot else _unit(rng, d) if sphere else _unit(rng, d) / 2
    slots = rng.integers(n - 1, size=K)
    slots[1:2] = slots[0]  # so that two tasks agree on an example that shows x* in one slot
    if one_hot:
        tasks = _functions(rng, slots, shared, target)
        # An output is a word, or as many as are summed; two that differ do so by a whole number in
        # some coordinate.
        radius, margin = input_radius, 1.0
    elif sphere:
        tasks = [Task(slot=int(slot), weight=_rotation(rng, shared, target)) for slot in slots]
        radius = 1.0
        margin = _margin(rng, tasks, feature_map, n, sum_slot, radius)
    else:
        tasks = _affine_maps(rng, slots, features_of(feature_map, shared), target)
        radius = _longest_output(tasks, feature_map, input_radius)
        margin = _margin(rng, tasks, feature_map, n, sum_slot, radius)
    spec = Spec.of(
        tasks,
        m=m,
        n=n,
        margin=margin,
        radius=radius,
        feature_map=feature_map,
        input_radius=input_radius,
        coldness=coldness,
        dtype=dtype,
        sum_slot=sum_slot,
    )
    return Instance(spec, tasks, feature_map, shared, sphere, one_hot)


def draw_prompt(
    rng: np.random.Generator,
    instance: Instance,
    *,
    examples: int | None = None,
    noise: int = 0,
    ambiguous: int = 0,
    shares: Float[np.ndarray, "K"] | None = None,
    pure: bool = False,
    agree: bool = False,
) -> Prompt:
    """A prompt of `examples` examples (default m); `noise` of them fit no task, `ambiguous`
    several, the others one task that is drawn with probability `shares` (default: random unequal
    ones).

    pure: all shares but one are 0. agree: the query is the input on which all tasks agree.

    Raises Impossible when the counts do not add up, one task is asked to be ambiguous, or no
    example was found in many tries.
    """
    spec = instance.spec
    examples = spec.m if examples is None else examples
    check_counts(spec.K, examples, noise, ambiguous)
    shares = draw_shares(rng, spec.K, pure) if shares is None else shares
    makers = [lambda: _explained(rng, instance, int(rng.choice(spec.K, p=shares)))] * (
        examples - noise - ambiguous
    )
    makers += [lambda: _noise(rng, instance)] * noise + [
        lambda: _ambiguous(rng, instance)
    ] * ambiguous
    found = [_until_decided(instance, makers[i]) for i in rng.permutation(examples)]
    inputs, labels = (np.stack(part) for part in zip(*found, strict=True))
    query = np.tile(instance.shared, (spec.n - 1, 1)) if agree else _drawn(rng, instance)
    return Prompt(inputs=inputs, labels=labels, query=query)


def check_counts(K: int, examples: int, noise: int, ambiguous: int) -> None:
    """Raise Impossible when a prompt has fewer examples than are asked to be noise or ambiguous, or
    one task is asked to be ambiguous."""
    if noise + ambiguous > examples:
        raise Impossible(
            f"--noise {noise} and --ambiguous {ambiguous} exceed the {examples} examples of a "
            "prompt; lower them or raise --m"
        )
    if ambiguous and K == 1:
        raise Impossible(
            f"--ambiguous {ambiguous} needs two tasks that explain one example, but --K is 1; "
            "raise --K or drop --ambiguous"
        )


def draw_shares(rng: np.random.Generator, K: int, pure: bool = False) -> Float[np.ndarray, "K"]:
    """Random shares of K tasks; pure: one has all."""
    return np.eye(K)[rng.integers(K)] if pure else rng.dirichlet(np.ones(K))


Example = tuple[
    np.ndarray, np.ndarray, int
]  # inputs (n-1, d), label (d,), how many tasks must explain it (2: two or more)


def _until_decided(
    instance: Instance, make: Callable[[], Example]
) -> tuple[np.ndarray, np.ndarray]:
    spec = instance.spec
    for _ in range(TRIES):
        inputs, label, wanted = make()
        miss = np.linalg.norm(
            _outputs(instance.tasks, instance.feature_map, inputs, spec.sum_slot) - label, axis=-1
        )
        explaining = int((miss <= spec.tolerance).sum())
        decided = ((miss <= spec.tolerance * (1 - 1e-6)) | (miss >= spec.margin * (1 + 1e-6))).all()
        # A label on the sphere may be longer than 1 by its norm's own rounding.
        short = np.linalg.norm(label) <= spec.radius * (1 + (spec.d + 2) * np.finfo(float).eps)
        if decided and min(explaining, 2) == wanted and short:
            return inputs, label
    raise Impossible(
        f"no example with a margin of {spec.margin:.3g} among {spec.K} tasks in dimension {spec.d} "
        f"in {TRIES} tries; "
        "lower --K, raise --d, or take another --seed"
    )


def _explained(rng: np.random.Generator, instance: Instance, task: int) -> Example:
    spec = instance.spec
    inputs = _drawn(rng, instance)
    label = _outputs([instance.tasks[task]], instance.feature_map, inputs, spec.sum_slot)[0]
    noise = 0.0 if instance.exact else LABEL_NOISE * spec.tolerance * rng.uniform()
    return inputs, label + noise * _unit(rng, spec.d), 1


def _noise(rng: np.random.Generator, instance: Instance) -> Example:
    spec = instance.spec
    label = instance.draw(rng, spec.d)
    if not instance.exact:
        label = spec.radius * label
    return _drawn(rng, instance), label, 0


def _ambiguous(rng: np.random.Generator, instance: Instance) -> Example:
    spec = instance.spec
    slots = np.array([task.slot for task in instance.tasks])
    task = int(rng.choice(_agreeing(slots)))
    inputs = _drawn(rng, instance)
    if spec.sum_slot and slots[task] == spec.n - 2:
        inputs[:] = 0  # the sum is x* if one input is and the others are 0
        inputs[int(rng.integers(spec.n - 2))] = instance.shared
    else:
        inputs[slots[task]] = instance.shared
    label = _outputs(instance.tasks, instance.feature_map, inputs, spec.sum_slot)[task]
    noise = 0.0 if instance.exact else LABEL_NOISE * spec.tolerance * rng.uniform()
    return inputs, label + noise * _unit(rng, spec.d), 2


def _agreeing(slots: Int[np.ndarray, "K"]) -> Int[np.ndarray, "tasks"]:
    """The tasks that share their slot with another: there are two at least, see `draw_instance`."""
    return np.flatnonzero((slots[:, None] == slots).sum(1) > 1)


def _outputs(
    tasks: list[Task], feature_map: FeatureMap | None, inputs: np.ndarray, sum_slot: bool
) -> Float[np.ndarray, "K d"]:
    phi = features_of(feature_map, fill(inputs, sum_slot))
    return np.stack([task.weight @ phi[task.slot] + task.bias for task in tasks])


def _affine_maps(
    rng: np.random.Generator,
    slots: Int[np.ndarray, "K"],
    source: Float[np.ndarray, "r"],
    target: Float[np.ndarray, "d"],
) -> list[Task]:
    """Tasks W f + b that all map the same features to the same output."""
    tasks = []
    for slot in slots:
        weight = _matrix(rng, len(target), len(source))
        tasks.append(Task(slot=int(slot), weight=weight, bias=target - weight @ source))
    return tasks


def _functions(
    rng: np.random.Generator,
    slots: Int[np.ndarray, "K"],
    source: Float[np.ndarray, "d"],
    target: Float[np.ndarray, "d"],
) -> list[Task]:
    """Tasks that are functions of words, no two of one slot the same, and take one word to the same
    other."""
    tasks: list[Task] = []
    for slot in slots:
        others = [task.weight for task in tasks if task.slot == slot]
        tasks.append(Task(slot=int(slot), weight=_function(rng, source, target, others)))
    return tasks


def _longest_output(
    tasks: list[Task], feature_map: FeatureMap | None, input_radius: float
) -> float:
    """A bound on the norm of an output, whatever the input."""
    features = (
        input_radius
        if feature_map is None
        else feature_map.weight_norm * input_radius + feature_map.bias_norm
    )
    return max(task.weight_norm * features + task.bias_norm for task in tasks)


def _margin(
    rng: np.random.Generator,
    tasks: list[Task],
    feature_map: FeatureMap | None,
    n: int,
    sum_slot: bool,
    radius: float,
) -> float:
    """The median distance from a task's output to the nearest other task's, and no more than half
    the radius."""
    if len(tasks) == 1:
        return radius / 2
    d = len(tasks[0].weight)
    distances = []
    for _ in range(64):
        outputs = _outputs(tasks, feature_map, _inputs(rng, n, d, sum_slot, _ball), sum_slot)
        task = int(rng.integers(len(tasks)))
        miss = np.linalg.norm(outputs - outputs[task], axis=-1)
        distances.append(np.delete(miss, task).min())
    return min(float(np.median(distances)), radius / 2)


def _drawn(rng: np.random.Generator, instance: Instance) -> Float[np.ndarray, "slots d"]:
    spec = instance.spec
    return _inputs(rng, spec.n, spec.d, spec.sum_slot, instance.draw)


def _inputs(
    rng: np.random.Generator, n: int, d: int, sum_slot: bool, draw: Callable[..., np.ndarray]
) -> Float[np.ndarray, "slots d"]:
    inputs = np.stack([draw(rng, d) for _ in range(n - 1)])
    if sum_slot:
        inputs[-1] = 0
    return inputs


def _unit(rng: np.random.Generator, d: int) -> Float[np.ndarray, "d"]:
    vector = rng.normal(size=d)
    return vector / np.linalg.norm(vector)


def _word(rng: np.random.Generator, d: int) -> Float[np.ndarray, "d"]:
    """A random one-hot vector."""
    return np.eye(d)[rng.integers(d)]


def _function(
    rng: np.random.Generator,
    source: Float[np.ndarray, "d"],
    target: Float[np.ndarray, "d"],
    others: list[np.ndarray],
) -> Float[np.ndarray, "d d"]:
    """The matrix of a random function of words that takes one word to another, and is none of the
    others."""
    d = len(source)
    for _ in range(TRIES):
        matrix = np.where(source, target[:, None], np.eye(d)[:, rng.integers(d, size=d)])
        if not any(np.array_equal(matrix, other) for other in others):
            return matrix
    raise Impossible(
        f"no {len(others) + 1} different functions of {d} words in {TRIES} tries; lower --K or "
        "raise --d"
    )


def _ball(rng: np.random.Generator, d: int) -> Float[np.ndarray, "d"]:
    """Uniform in the unit ball."""
    return _unit(rng, d) * rng.uniform() ** (1 / d)


def _matrix(rng: np.random.Generator, rows: int, columns: int) -> Float[np.ndarray, "rows columns"]:
    """Random singular vectors, singular values uniform in [1/2, 1]."""
    rank = min(rows, columns)
    left = np.linalg.qr(rng.normal(size=(rows, rank)))[0]
    right = np.linalg.qr(rng.normal(size=(columns, rank)))[0]
    return (left * rng.uniform(0.5, 1, rank)) @ right.T


def _rotation(
    rng: np.random.Generator, source: Float[np.ndarray, "d"], target: Float[np.ndarray, "d"]
) -> Float[np.ndarray, "d d"]:
    """A random orthogonal matrix that takes one unit vector to another."""
    d = len(source)
    # An orthonormal basis whose first vector is the given one, up to sign, which the last column
    # puts right.
    bases = [
        np.linalg.qr(np.column_stack([vector, rng.normal(size=(d, d - 1))]))[0]
        for vector in (source, target)
    ]
    sign = np.sign(bases[0][:, 0] @ source) * np.sign(bases[1][:, 0] @ target)
    return bases[1] @ np.diag([sign, *np.ones(d - 1)]) @ bases[0].T


def _feature_map(rng: np.random.Generator, features: int, d: int) -> FeatureMap:
    return FeatureMap(
        weight=_matrix(rng, features, d), bias=rng.uniform(-0.5, 0.5, features) / np.sqrt(features)
    )


__all__ = ["DTYPES", "Impossible", "Instance", "draw_instance", "draw_prompt"]
