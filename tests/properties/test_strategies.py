"""The strategies draw from the whole of the ranges, shrink to the least, and are seldom in vain."""

import jaxtyping
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings

from tests.properties.padded import LARGEST, unchecked
from tests.properties.strategies import half, kind_of, one, recipes, shapes, subjects, two
from tests.strategies import Shape

THEOREMS = (1, 2, 3)


def drawn(strategy, count):
    """So many draws, always the same."""
    found = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def keep(value):
        found.append(value)

    keep()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("theorem", THEOREMS)
def test_at_least_95_percent_of_all_recipes_are_possible(theorem):
    possible = [recipe.possible for recipe in drawn(recipes(theorem), 200)]
    assert len(possible) >= 100
    assert sum(possible) >= 0.95 * len(possible)


@pytest.mark.parametrize("theorem", THEOREMS)
def test_shapes_span_the_ranges(theorem):
    some = drawn(shapes(theorem), 1000)
    for name, least in (("K", 1), ("d", 1), ("m", 1), ("n", 2)):
        values = {getattr(shape, name) for shape in some}
        assert values == set(range(least, LARGEST[name] + 1))
    assert {shape.dtype for shape in some} == {"float32", "float64"}
    features = set() if theorem == 3 else set(range(1, LARGEST["features"] + 1))
    assert {shape.features for shape in some} == {0} | features
    assert {shape.sum_slot for shape in some} == ({False, True} if theorem == 1 else {False})
    assert any(shape.features and shape.sum_slot for shape in some) == (theorem == 1)


@pytest.mark.parametrize("theorem", THEOREMS)
@pytest.mark.parametrize("sizes", [one, half, two])
def test_prompts_fit(theorem, sizes):
    for recipe in drawn(recipes(theorem, sizes), 200):
        m = recipe.shape.m
        assert all(size >= 1 for size in recipe.sizes)
        assert sum(recipe.sizes) * (2 if sizes is half else 1) <= m
        pairs = zip(recipe.sizes, recipe.noise, recipe.ambiguous, strict=True)
        assert all(none + several <= size for size, none, several in pairs)


def test_every_kind_is_drawn():
    some = [drawn(recipes(theorem), 300) for theorem in THEOREMS]
    kinds = [{recipe.kind for recipe in recipes} for recipes in some]
    assert kinds == [{"apart", "signs", "random"}, {"apart", "random"}, {"sphere"}]
    assert kind_of(1, Shape(24, 1, 4, 2), "signs") == "apart"


def least(theorem, wanted, sizes=one, strategy=recipes):
    """The least subject of those that are wanted."""
    return find(
        strategy(theorem, sizes),
        wanted,
        settings=settings(max_examples=500, database=None, derandomize=True),
    )


@pytest.mark.parametrize(("theorem", "kind"), [(1, "apart"), (2, "apart"), (3, "sphere")])
def test_recipes_shrink_to_the_least_shape(theorem, kind):
    recipe = least(theorem, lambda recipe: True)
    assert (recipe.shape, recipe.kind, recipe.sizes) == (Shape(1, 1, 1, 2), kind, (1,))
    assert recipe.seed == 0 and recipe.possible


def test_subjects_shrink_as_recipes_do():
    subject = least(2, lambda subject: subject.shape.K > 1, strategy=subjects)
    assert (subject.shape, subject.sizes) == (Shape(2, 1, 1, 2), (1,))


@pytest.mark.parametrize(
    ("name", "value"), [("K", 5), ("d", 7), ("m", 9), ("n", 4), ("features", 3)]
)
def test_each_size_shrinks_by_itself(name, value):
    shape = least(1, lambda subject: getattr(subject.shape, name) >= value).shape
    rest = {"K": 1, "d": 1, "m": 1, "n": 2, "features": 0, "dtype": "float32", "sum_slot": False}
    assert shape == Shape(**{**rest, name: value})


def test_lengths_shrink_with_what_they_need():
    subject = least(1, lambda subject: subject.sizes[0] >= 6)
    assert (subject.sizes, subject.shape.m) == ((6,), 6)
    subject = least(1, lambda subject: subject.shape.sum_slot)
    assert (subject.shape.n, subject.shape.K, subject.shape.d) == (3, 1, 1)
    assert least(1, lambda subject: True, two).sizes == (1, 1)


def test_annotations_are_checked_again_afterwards():
    before = jaxtyping.config.jaxtyping_disable
    with unchecked():
        assert jaxtyping.config.jaxtyping_disable
    assert jaxtyping.config.jaxtyping_disable == before
    with pytest.raises(ZeroDivisionError), unchecked():
        raise ZeroDivisionError
    assert jaxtyping.config.jaxtyping_disable == before
