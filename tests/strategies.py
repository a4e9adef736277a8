"""Hypothesis strategies: small menus of shapes, with fresh tasks and prompts every time.

A new shape costs a compilation, so shapes are drawn from `SHAPES`, batches hold `BATCH` prompts,
and one prompt of each batch is of full length (prompts are padded to the longest). Structure is
drawn by Hypothesis and can shrink; numbers come from a seeded generator. Three families of tasks:
*random* ones (verify.draw), *signs* (outputs are +-inputs, so that residuals are exactly
0, 1 or 2R, and many tasks agree) and *apart* (outputs lie on a grid, tolerance 0.9 of the margin).
"""

from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st

from construct import FeatureMap, Prompt, Spec, Task, Transformer
from verify.draw import Impossible, Instance, draw_instance, draw_prompt
from verify.oracle import Verdict, features_of, fill, judge
from verify.theorem import ALL, Theorem

BATCH = 4


@dataclass(frozen=True)
class Shape:
    """What decides how a transformer compiles."""

    K: int
    d: int
    m: int
    n: int
    features: int = 0
    dtype: str = "float32"
    sum_slot: bool = False

    apart = True  # tasks on a grid exist in every shape

    @property
    def random(self) -> bool:
        """Whether random tasks keep a margin that the dtype can represent: not many tasks on a
        short line."""
        return self.d > 1 or self.K == 1

    @property
    def signs(self) -> bool:
        """Whether there are K different tasks that only change signs, and nothing but signs can be
        seen."""
        return (
            not self.features
            and not self.sum_slot
            and (self.n - 1) * 2 ** min(self.d, 16) >= self.K
        )


SHAPES = (
    Shape(1, 1, 1, 2),
    Shape(24, 1, 4, 2),
    Shape(2, 3, 6, 3),
    Shape(4, 16, 32, 3),
    Shape(12, 8, 10, 2, dtype="float64"),
    Shape(24, 24, 12, 4),
    Shape(8, 5, 40, 8, dtype="float64"),
    Shape(5, 3, 7, 5, features=4),
    Shape(6, 10, 9, 3, features=20, dtype="float64"),
    Shape(4, 6, 8, 4, sum_slot=True),
    Shape(3, 4, 5, 5, features=5, dtype="float64", sum_slot=True),
    Shape(16, 12, 16, 6),
)


@dataclass(frozen=True)
class Case:
    """A recipe of a family of tasks and some prompts that keep its margin; they are drawn when they
    are first read.

    kind: 'random', 'signs' or 'apart'. sizes: the prompts' lengths m'. noise, ambiguous: how many
    examples of each prompt (random families). share: how much of the tolerance, or for signs of the
    margin, labels are off by. blank: the query is 0 (signs). theorem: whose transformer it is.
    """

    kind: str
    shape: Shape
    seed: int
    sizes: tuple[int, ...]
    noise: tuple[int, ...] = ()
    ambiguous: tuple[int, ...] = ()
    share: float = 0.0
    blank: bool = False
    theorem: Theorem = ALL[1]

    @cached_property
    def _drawn(self) -> tuple[Instance, list[Prompt]]:
        return KINDS[self.kind](np.random.default_rng(self.seed), self)

    @property
    def instance(self) -> Instance:
        """The tasks and their Spec."""
        return self._drawn[0]

    @property
    def prompts(self) -> list[Prompt]:
        """The prompts; the last has all m examples."""
        return self._drawn[1]

    @property
    def spec(self) -> Spec:
        """The Spec of the family."""
        return self.instance.spec

    @property
    def tasks(self) -> list[Task]:
        """The tasks of the family."""
        return self.instance.tasks

    @cached_property
    def model(self) -> Transformer:
        """The transformer of the family."""
        return self.theorem.build(self.spec, self.tasks, self.instance.feature_map)

    def verdict(self, prompt: Prompt) -> Verdict:
        """What the definition says of a prompt."""
        spec = self.spec
        return judge(
            self.tasks,
            prompt,
            spec.tolerance,
            spec.margin,
            self.instance.feature_map,
            spec.sum_slot,
        )


def shapes(theorem: Theorem = ALL[1], **fixed: object) -> st.SearchStrategy[Shape]:
    """The shapes of the menu that have the fixed values, and whose tasks the theorem can
    perform."""
    fixed |= {name: 0 for name in ("features", "sum_slot") if name not in theorem.options}
    return st.sampled_from(
        [
            shape
            for shape in SHAPES
            if all(getattr(shape, name) == value for name, value in fixed.items())
        ]
    )


def kinds_of(theorem: Theorem, shape: Shape) -> list[str]:
    """The kinds of cases that a shape has and a theorem can perform: tasks on a grid, or with signs
    for matrices, keep no norm, and tasks with signs agree on many examples."""
    kinds = ["random"] if theorem.drawn else ["apart", "signs", "random"]
    return [
        kind for kind in kinds if getattr(shape, kind) and (kind != "signs" or theorem.ambiguity)
    ]


@st.composite
def cases(
    draw: st.DrawFn,
    shape: st.SearchStrategy[Shape] | None = None,
    count: int = BATCH,
    kind: str | None = None,
    theorem: Theorem = ALL[1],
) -> Case:
    """A family of any kind that its shape allows, and `count` prompts, the last of full length."""
    chosen = draw(shapes(theorem) if shape is None else shape)
    kinds = kinds_of(theorem, chosen) if kind is None else [kind]
    m = chosen.m
    sizes = (*draw(st.tuples(*[st.integers(1, m)] * (count - 1))), m)
    noise = [draw(st.integers(0, min(size, 3))) for size in sizes]
    room = [
        min(size - one, 3) if chosen.K > 1 and theorem.ambiguity else 0
        for size, one in zip(sizes, noise, strict=True)
    ]
    return Case(
        kind=draw(st.sampled_from(kinds)),
        shape=chosen,
        seed=draw(st.integers(0, 2**32 - 1)),
        sizes=sizes,
        noise=tuple(noise),
        ambiguous=tuple(draw(st.integers(0, most)) for most in room),
        share=draw(st.sampled_from([0.0, 0.25, 0.9])),
        blank=draw(st.booleans()),
        theorem=theorem,
    )


def random_family(rng: np.random.Generator, case: Case) -> tuple[Instance, list[Prompt]]:
    """Random tasks and prompts in random proportions, with noise and ambiguous examples
    among them."""
    instance = draw_instance(rng, **asdict(case.shape), **case.theorem.drawn)
    requests = zip(case.sizes, case.noise, case.ambiguous, strict=True)
    return instance, [_random_prompt(rng, instance, *request) for request in requests]


def _random_prompt(
    rng: np.random.Generator, instance: Instance, size: int, noise: int, ambiguous: int
) -> Prompt:
    try:
        return draw_prompt(rng, instance, examples=size, noise=noise, ambiguous=ambiguous)
    except Impossible:  # no noise fits: K outputs fill the ball, or agree on too much of it
        return draw_prompt(rng, instance, examples=size)


def sign_family(rng: np.random.Generator, case: Case) -> tuple[Instance, list[Prompt]]:
    """g_i(X) = signs_i * x_{p_i} on inputs that are 0 or +-e_1 .. +-e_d.

    Residuals are 0, 1 or 2 before the labels' offset: an explained label may be off by all of the
    tolerance (a quarter or 0.9 of the margin), or by nothing and then the radius is 1 and wrong
    labels miss by 2R. Every task explains (0, 0), and half of them each (+-e, +-e): 11 and more
    agree on one example as soon as K is large. A zero query is mapped to 0 by all.
    """
    shape, share = case.shape, case.share
    slots = shape.n - 1
    patterns = rng.permutation(slots * 2 ** min(shape.d, 16))[: shape.K]
    tasks = []
    for pattern in patterns:
        code, slot = divmod(int(pattern), slots)
        signs = [1.0 - 2 * (code >> bit & 1) if bit < 16 else 1.0 for bit in range(shape.d)]
        tasks.append(Task(slot=slot, weight=np.diag(signs)))
    spec = Spec.of(
        tasks,
        m=shape.m,
        n=shape.n,
        margin=1.0,
        tolerance=share or 0.25,
        radius=1.0 + share,
        input_radius=1.0,
        dtype=shape.dtype,
    )
    prompts = [_sign_prompt(rng, spec, tasks, size, share, case.blank) for size in case.sizes]
    return Instance(spec, tasks, None, np.zeros(shape.d)), prompts


def _sign_prompt(
    rng: np.random.Generator, spec: Spec, tasks: list[Task], size: int, share: float, blank: bool
) -> Prompt:
    units = np.concatenate([np.eye(spec.d), -np.eye(spec.d), np.zeros((1, spec.d))])
    inputs = units[rng.integers(len(units), size=(size, spec.n - 1))]
    outputs = np.stack([inputs[:, task.slot] @ task.weight.T for task in tasks])
    # Explained by one task at least, or the opposite of what it says: 2R off. (An output of 0 is
    # its own opposite.)
    labels = outputs[rng.integers(spec.K, size=size), np.arange(size)] * rng.choice(
        [-1, 1, 1], size=(size, 1)
    )
    labels = (
        labels
        + share
        * units[rng.integers(len(units), size=size)]
        * _clear(outputs, labels, share)[:, None]
    )
    query = (
        np.zeros((spec.n - 1, spec.d))
        if blank
        else units[rng.integers(len(units), size=spec.n - 1)]
    )
    return Prompt(inputs=inputs, labels=labels, query=query)


def _clear(outputs: np.ndarray, labels: np.ndarray, share: float) -> np.ndarray:
    """Which labels may be moved by `share` and still miss every wrong task by 1: a miss of 1 must
    have room to shrink."""
    misses = np.linalg.norm(outputs - labels, axis=-1)
    return ((misses == 0) | (misses >= 1 + share)).all(0)


def apart_family(rng: np.random.Generator, case: Case) -> tuple[Instance, list[Prompt]]:
    """g_i(X) = W_i phi(x) + b_i with b_i on a grid, farther apart than anything W_i adds: any K in
    any d.

    The tolerance is 0.9 of the margin, and explained labels are off by up to all of it; noise lies
    beyond the grid's edge.
    """
    shape = case.shape
    reach = float(max(shape.n - 2, 1)) if shape.sum_slot else 1.0
    feature_map = None
    if shape.features:
        weight = rng.normal(size=(shape.features, shape.d))
        feature_map = FeatureMap(
            weight=weight / np.linalg.norm(weight, 2),
            bias=rng.uniform(-1, 1, shape.features) / shape.features,
        )
    features = (
        reach if feature_map is None else feature_map.weight_norm * reach + feature_map.bias_norm
    )
    margin, swing = 1.0, 0.5 / features
    tolerance = 0.9 * margin
    # Two outputs differ by at least step - 2 swing * features; the label may come nearer by the
    # tolerance.
    step = (2 * swing * features + margin + tolerance) * (1 + 1e-9)
    places = step * _grid(rng, shape.K, shape.d)
    weights = rng.normal(size=(shape.K, shape.d, shape.features or shape.d))
    tasks = [
        Task(
            slot=int(rng.integers(shape.n - 1)),
            weight=swing * weight / np.linalg.norm(weight, 2),
            bias=place,
        )
        for place, weight in zip(places, weights, strict=True)
    ]
    edge = max(task.bias_norm for task in tasks) + swing * features * (1 + 1e-12)
    spec = Spec.of(
        tasks,
        m=shape.m,
        n=shape.n,
        margin=margin,
        tolerance=tolerance,
        radius=edge + margin,
        feature_map=feature_map,
        input_radius=reach,
        dtype=shape.dtype,
        sum_slot=shape.sum_slot,
    )
    instance = Instance(spec, tasks, feature_map, np.zeros(shape.d))
    # Off by nothing, or by all of the tolerance less the rounding of a norm.
    offset = (1 - 1e-9) * tolerance if case.share else 0.0
    return instance, [_apart_prompt(rng, instance, size, offset) for size in case.sizes]


def _grid(rng: np.random.Generator, K: int, d: int) -> np.ndarray:
    """K points of R^d at distance 1 and more, near the origin: a small grid in as few dimensions as
    two points a side need."""
    axes = min(d, max((K - 1).bit_length(), 1))
    side = next(side for side in range(1, K + 1) if side**axes >= K)
    points = (
        np.stack(np.unravel_index(rng.permutation(side**axes)[:K], (side,) * axes), axis=1)
        - (side - 1) / 2
    )
    return points @ np.linalg.qr(rng.normal(size=(d, axes)))[0].T


def _apart_prompt(rng: np.random.Generator, instance: Instance, size: int, offset: float) -> Prompt:
    spec = instance.spec
    inputs = unit_inputs(rng, spec, (size,))
    outputs = outputs_of(instance, inputs)
    tasks = rng.integers(spec.K, size=size)
    labels = outputs[tasks, np.arange(size)] + offset * np.stack(
        [_unit(rng, spec.d) for _ in range(size)]
    )
    noise = rng.random(size) < 0.15
    labels[noise] = spec.radius * _unit(rng, spec.d)  # at least the margin beyond every output
    return Prompt(inputs=inputs, labels=labels, query=unit_inputs(rng, spec, ()))


def outputs_of(instance: Instance, inputs: np.ndarray) -> np.ndarray:
    """g_i of every example's inputs, (K, m, d)."""
    phi = features_of(instance.feature_map, fill(inputs, instance.spec.sum_slot))
    return np.stack([phi[:, task.slot] @ task.weight.T + task.bias for task in instance.tasks])


def unit_inputs(rng: np.random.Generator, spec: Spec, batch: tuple[int, ...]) -> np.ndarray:
    """Inputs on the unit sphere, a tenth of them 0, with sum slots blank."""
    inputs = rng.normal(size=(*batch, spec.n - 1, spec.d))
    inputs /= np.linalg.norm(inputs, axis=-1, keepdims=True)
    inputs *= rng.random((*batch, spec.n - 1, 1)) < 0.9
    if spec.sum_slot:
        inputs[..., -1, :] = 0
    return inputs


def _unit(rng: np.random.Generator, d: int) -> np.ndarray:
    vector = rng.normal(size=d)
    return vector / np.linalg.norm(vector)


KINDS = {"random": random_family, "signs": sign_family, "apart": apart_family}
