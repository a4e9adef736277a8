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

from construct import Prompt, Transformer, theorem1, theorem2, theorem3
from construct.gains import Infeasible
from tests.properties.padded import LARGEST, Padded, padded, unchecked
from tests.strategies import KINDS, Case, Shape
from verify.draw import Impossible, Instance, draw_instance, draw_prompt

BUILDS = {1: theorem1.build, 2: theorem2.build, 3: theorem3.build}

Sizes = st.SearchStrategy[tuple[int, ...]]


@dataclass(frozen=True)
class Subject(Case):
    """A family of tasks, some prompts and the theorem that is asked: a recipe, as `Case` is."""

    theorem: int = 1

    @cached_property
    def _cooked(self) -> tuple[Instance, list[Prompt]]:
        with unchecked():
            return FAMILIES[self.kind](np.random.default_rng(self.seed), self)

    @cached_property
    def model(self) -> Transformer:
        """The transformer of the family."""
        return BUILDS[self.theorem](self.spec, self.tasks, self.instance.feature_map)

    @cached_property
    def padded(self) -> Padded:
        """The same transformer, run by the program that serves all shapes."""
        return padded(self.theorem, self.spec, self.tasks, self.instance.feature_map)

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


# The fewest examples m that a choice of sizes needs.
LEAST = {one: 1, half: 2, two: 2}


@st.composite
def shapes(draw: st.DrawFn, theorem: int = 1, least_m: int = 1) -> Shape:
    """Any shape in the ranges of LARGEST that the theorem allows.

    Orthogonal matrices that agree on one vector, as those of Theorem 3's subjects do, differ from d
    = 3 on. Theorem 1 alone fills a sum slot, and Theorem 3 has no features.
    """
    K = draw(st.integers(1, LARGEST["K"]))
    d = draw(st.integers(3 if theorem == 3 and K > 1 else 1, LARGEST["d"]))
    n = draw(st.integers(2, LARGEST["n"]))
    features = st.just(0) if theorem == 3 else st.integers(1, LARGEST["features"])
    return Shape(
        K,
        d,
        draw(st.integers(least_m, LARGEST["m"])),
        n,
        features=draw(st.just(0) | features),
        dtype=draw(st.sampled_from(["float32", "float64"])),
        sum_slot=theorem == 1 and n > 2 and draw(st.booleans()),
    )


def kinds_of(theorem: int, shape: Shape) -> list[str]:
    """The families that a theorem's hypotheses allow in a shape. Many tasks explain an example of
    signs, which Theorem 2 refuses."""
    if theorem == 3:
        return ["sphere"]
    kinds = ("apart", "random") if theorem == 2 else ("apart", "signs", "random")
    return [kind for kind in kinds if getattr(shape, kind)]


@st.composite
def recipes(
    draw: st.DrawFn,
    theorem: int = 1,
    sizes: Callable[[int], Sizes] = one,
    kind: str | None = None,
) -> Subject:
    """A theorem's subject of any shape, possible or not."""
    shape = draw(shapes(theorem, LEAST[sizes]))
    lengths = draw(sizes(shape.m))
    noise = [draw(st.integers(0, min(length, 3))) for length in lengths]
    # Theorem 2 refuses an example with two explanations.
    most = 0 if theorem == 2 or shape.K == 1 else 3
    return Subject(
        kind=draw(st.sampled_from(kinds_of(theorem, shape))) if kind is None else kind,
        shape=shape,
        seed=draw(st.integers(0, 2**32 - 1)),
        sizes=lengths,
        noise=tuple(noise),
        ambiguous=tuple(
            draw(st.integers(0, min(length - none, most)))
            for length, none in zip(lengths, noise, strict=True)
        ),
        share=draw(st.sampled_from([0.0, 0.25, 0.9])),
        blank=draw(st.booleans()),
        theorem=theorem,
    )


def subjects(
    theorem: int = 1, sizes: Callable[[int], Sizes] = one, kind: str | None = None
) -> st.SearchStrategy[Subject]:
    """A theorem's subject of any shape. (`test_strategies.py` holds that few recipes are
    impossible.)"""
    return recipes(theorem, sizes, kind).filter(lambda subject: subject.possible)
