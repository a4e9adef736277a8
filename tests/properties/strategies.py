"""Hypothesis strategies over all shapes: K, d, m, n, features, dtype and sum slot drawn freely, and
shrunk.

A `Subject` is a recipe: its sizes are drawn by Hypothesis, one by one, so that a failure shrinks to
few tasks, coordinates and examples; its numbers come from a seeded generator. The families of tasks
are those of `tests.strategies`, and for Theorem 3 *sphere* (orthogonal matrices on the unit
sphere).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st

from construct import Prompt
from construct.gains import Infeasible
from tests.properties.padded import LARGEST, Padded, padded, unchecked
from tests.strategies import KINDS, Case, Shape
from verify.draw import Impossible, Instance, draw_instance, draw_prompt
from verify.theorem import ALL

Sizes = st.SearchStrategy[tuple[int, ...]]


@dataclass(frozen=True)
class Subject(Case):
    """A family of tasks, some prompts and the theorem that is asked: a recipe, as `Case` is."""

    @cached_property
    def _drawn(self) -> tuple[Instance, list[Prompt]]:
        with unchecked():
            return FAMILIES[self.kind](np.random.default_rng(self.seed), self)

    @cached_property
    def padded(self) -> Padded:
        """The same transformer, run by the program that serves all shapes."""
        return padded(self.theorem.number, self.spec, self.tasks, self.instance.feature_map)

    @property
    def possible(self) -> bool:
        """Whether there are such prompts, and the dtype can represent the scores of such tasks."""
        try:
            return bool(self.prompts and self.padded)
        except (Impossible, Infeasible):
            return False


def sphere_family(rng: np.random.Generator, case: Case) -> tuple[Instance, list[Prompt]]:
    """Random orthogonal matrices, and prompts in random proportions on the unit sphere, with noise
    and ambiguous examples among them."""
    shape = case.shape
    instance = draw_instance(
        rng, K=shape.K, d=shape.d, m=shape.m, n=shape.n, dtype=shape.dtype, sphere=True
    )
    requests = zip(case.sizes, case.noise, case.ambiguous, strict=True)
    return instance, [
        draw_prompt(rng, instance, examples=size, noise=noise, ambiguous=ambiguous)
        for size, noise, ambiguous in requests
    ]


def random_family(rng: np.random.Generator, case: Case) -> tuple[Instance, list[Prompt]]:
    """The random family of `tests.strategies`; Impossible too where few ReLU features are 0 on most
    inputs, so that the tasks' typical distance, the margin, is 0."""
    try:
        return KINDS["random"](rng, case)
    except ValueError as error:
        if case.shape.features and str(error).startswith("margin = 0.0"):
            raise Impossible(str(error)) from error
        raise


FAMILIES = KINDS | {"random": random_family, "sphere": sphere_family}


def one(m: int) -> Sizes:
    """One prompt, of any length."""
    return st.tuples(st.integers(1, m))


def half(m: int) -> Sizes:
    """One prompt, of which at least two copies fit into m examples."""
    return st.tuples(st.integers(1, m // 2))


def two(m: int) -> Sizes:
    """Two prompts, which fit into m examples together."""
    return st.integers(1, m - 1).flatmap(
        lambda first: st.tuples(st.just(first), st.integers(1, m - first))
    )


# The least of what a shape has, and the fewest examples m that a choice of sizes needs.
LEAST = {"K": 1, "d": 1, "n": 2}
LEAST_M = {one: 1, half: 2, two: 2}


@st.composite
def shapes(draw: st.DrawFn, theorem: int = 1, least_m: int = 1) -> Shape:
    """Any shape in the ranges of LARGEST that the theorem allows.

    Orthogonal matrices that agree on one vector, as those of Theorem 3's subjects do, differ from d
    = 3 on. Theorem 1 alone fills a sum slot, and Theorem 3 has no features.
    """
    # All is drawn in every case and then cut to what is allowed: a draw that hangs on another one
    # would keep that from shrinking.
    K, d, n = (draw(st.integers(least, LARGEST[name])) for name, least in LEAST.items())
    m = draw(st.integers(least_m, LARGEST["m"]))
    features = draw(st.just(0) | st.integers(1, LARGEST["features"]))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    sum_slot = draw(st.booleans())
    return Shape(
        K,
        max(d, 3) if theorem == 3 and K > 1 else d,
        m,
        n,
        features=features if theorem < 3 else 0,
        dtype=dtype,
        sum_slot=sum_slot and theorem == 1 and n > 2,
    )


def kind_of(theorem: int, shape: Shape, asked: str) -> str:
    """The family that is asked for if the theorem's hypotheses allow it in the shape, else the one
    that is always there. Many tasks explain an example of signs, which Theorem 2 refuses."""
    if theorem == 3:
        return "sphere"
    allowed = getattr(shape, asked) and not (theorem == 2 and asked == "signs")
    return asked if allowed else "apart"


@st.composite
def recipes(
    draw: st.DrawFn,
    theorem: int = 1,
    sizes: Callable[[int], Sizes] = one,
    kind: str | None = None,
) -> Subject:
    """A theorem's subject of any shape, possible or not."""
    shape = draw(shapes(theorem, LEAST_M[sizes]))
    lengths = draw(sizes(shape.m))
    asked = draw(st.sampled_from(["apart", "signs", "random"]))
    odd = [draw(st.tuples(st.integers(0, 3), st.integers(0, 3))) for _ in lengths]
    noise = tuple(min(length, none) for length, (none, _) in zip(lengths, odd, strict=True))
    # Theorem 2 refuses an example with two explanations.
    most = 0 if theorem == 2 or shape.K == 1 else 3
    rest = zip(lengths, noise, odd, strict=True)
    return Subject(
        kind=kind_of(theorem, shape, asked) if kind is None else kind,
        shape=shape,
        seed=draw(st.integers(0, 2**32 - 1)),
        sizes=lengths,
        noise=noise,
        ambiguous=tuple(min(length - none, several, most) for length, none, (_, several) in rest),
        share=draw(st.sampled_from([0.0, 0.25, 0.9])),
        blank=draw(st.booleans()),
        theorem=ALL[theorem],
    )


def subjects(
    theorem: int = 1, sizes: Callable[[int], Sizes] = one, kind: str | None = None
) -> st.SearchStrategy[Subject]:
    """A theorem's subject of any shape. (`test_strategies.py` holds that few recipes are
    impossible.)"""
    return recipes(theorem, sizes, kind).filter(lambda subject: subject.possible)
