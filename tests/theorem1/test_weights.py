"""The weights have the form that the theorem assumes, and no single entry can be wrong unseen."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from construct import FeatureMap, Spec, Task, Transformer, build
from construct.layers import in_dtype
from tests.strategies import Case, cases
from verify.theorem1.weights import LAYERS, Form, check_weights, faults
from verify.weights import StoredBank, StoredLayer, matrices, stored

W = np.array([[0.75, -0.3], [0.2, 0.9]])


@cache
def model(name: str) -> tuple[Transformer, tuple[Task, ...], FeatureMap | None]:
    """A small transformer: with every part there is, with one task, or warm and in float64."""
    if name == "one task":
        return _built([Task(slot=0, weight=np.array([[0.7]]))], None, m=1, n=2)
    if name == "warm":
        tasks = [Task(slot=slot, weight=W[:1, :1] * (2 * slot - 1)) for slot in range(2)]
        tasks.append(Task(slot=1, weight=W[:1, :1], bias=np.array([1.1])))
        return _built(tasks, None, m=2, n=3, dtype="float64", coldness=16.0)
    phi = FeatureMap(weight=np.array([[1.3]]), bias=np.array([0.1]))
    tasks = [Task(slot=0, weight=W[:1, :1]), Task(slot=1, weight=W[:1, 1:], bias=W[1, :1])]
    return _built(tasks, phi, m=2, n=3, sum_slot=True)


def _built(
    tasks: list[Task], feature_map: FeatureMap | None, **more: Any
) -> tuple[Transformer, tuple[Task, ...], FeatureMap | None]:
    spec = Spec.of(tasks, margin=0.5, radius=2.0, input_radius=2.0, feature_map=feature_map, **more)
    return build(spec, tasks, feature_map), tuple(tasks), feature_map


def places(one: Transformer) -> dict[str, slice]:
    """Where the subspaces of a model's stream lie."""
    return {name: one.residual.where(name) for name in one.residual.names}


def arrays(layer: StoredLayer) -> Iterator[tuple[str, np.ndarray]]:
    """A layer's arrays by name."""
    for b, bank in enumerate(layer.banks):
        for name in ("W_Q", "W_K", "W_V", "W_O"):
            yield f"{name} {b}", getattr(bank, name)
    if layer.mlp is not None:
        yield from zip(("W_1", "W_2"), layer.mlp, strict=True)


def writable(layers: list[StoredLayer]) -> list[StoredLayer]:
    """The same layers in arrays of their own."""
    return [
        StoredLayer(
            layer.name,
            tuple(
                StoredBank(
                    *(np.array(getattr(bank, name)) for name in ("W_Q", "W_K", "W_V", "W_O"))
                )
                for bank in layer.banks
            ),
            None if layer.mlp is None else (np.array(layer.mlp[0]), np.array(layer.mlp[1])),
        )
        for layer in layers
    ]


def assert_blamed(layer: str, name: str, blamed: set[str]) -> None:
    """This layer alone is blamed; with one task Fetch and Execute hold the two copies of a
    threshold, and no third says which of them is right."""
    twins = {"fetch", "execute"} if name == "one task" else {layer}
    assert blamed == {layer} or (layer in twins and blamed <= twins)


CHANGES: dict[str, Callable[[Any], Any]] = {
    "zero": lambda entry: entry * 0,  # strikes nothing where the entry is 0
    "the next float": lambda entry: np.nextafter(entry, entry.dtype.type(np.inf)),
}
# Entries that may be off by a rounding (a sine of pi may be 0), and why.
WITHIN_ROUNDING = {
    "a product with beta, stored rounded": ("recognize", "W_Q 0"),
    "a cosine, stored rounded": ("recognize", "W_V 0"),
    "a cosine times G, or with one head a threshold that its inequalities allow": (
        "fetch",
        "W_Q 0",
    ),
    "the same in Execute": ("execute", "W_Q 0"),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(
    "name", ["all parts", "one task", pytest.param("warm", marks=pytest.mark.slow)]
)
def test_every_entry_that_is_wrong_is_rejected_at_its_own_layer(name, layer):
    one, tasks, feature_map = model(name)
    layers, where = writable(stored(one)), places(one)
    at = LAYERS.index(layer)
    form = Form(layers, where, one.spec, tasks, feature_map)
    struck, passed = 0, []
    for array_name, array in arrays(layers[at]):
        for index in np.ndindex(array.shape):
            entry = array[index]
            for change, make in CHANGES.items():
                array[index] = make(entry)
                if array[index] == entry:
                    continue
                struck += 1
                if not entry:  # no gain is read there: the right form stays what it was
                    assert next(form.faults(layers[at]))
                    continue
                found = faults(layers, where, one.spec, tasks, feature_map)
                if found:
                    assert_blamed(layer, name, {fault.layer for fault in found})
                else:
                    assert abs(array[index] - entry) <= 2e-7 * max(1, abs(entry)), change
                    passed.append((layer, array_name))
            array[index] = entry
    assert struck > 20
    assert not faults(layers, where, one.spec, tasks, feature_map)
    assert set(passed) <= set(WITHIN_ROUNDING.values())


@given(cases(count=1))
def test_every_built_transformer_has_the_form(case: Case):
    assert not check_weights(case.model, case.tasks, case.instance.feature_map)


@given(st.sampled_from([6.0, 9.0, 14.0, 20.0, 60.0, 300.0]), st.booleans())
def test_the_form_holds_at_every_coldness(coldness, double):
    one, tasks, feature_map = model("all parts")
    spec = replace(one.spec, coldness=coldness, dtype="float64" if double else "float32")
    try:
        built = build(spec, tasks, feature_map)
    except ValueError:
        assert coldness < 14  # not admissible
        return
    assert not check_weights(built, tasks, feature_map)


def test_a_transformer_of_other_tasks_is_rejected():
    one, tasks, feature_map = model("all parts")
    other = (tasks[0], replace(tasks[1], slot=0))
    wrong = check_weights(one, other, feature_map)
    assert {word for fault in wrong for word in fault.split()} & set(LAYERS) == {
        "recognize",
        "fetch",
    }
    assert "W_K of head 1" in wrong[-1]


def test_a_fault_says_where_it_is_and_what_must_be_there():
    one, tasks, feature_map = model("all parts")
    layers = writable(stored(one))
    layers[2].banks[0].W_K[1, 4, one.residual.where("y").start] = 0.5
    (fault,) = faults(layers, places(one), one.spec, tasks, feature_map)
    assert str(fault) == (
        "the weights of recognize : W_K of head 1 is 0.5 in row residual at y, must be -1"
    )


@pytest.mark.parametrize(
    "short_of", ["a layer", "a head", "a row", "an MLP", "a subspace", "a dtype"]
)
def test_another_shape_is_rejected(short_of):
    one, tasks, feature_map = model("all parts")
    layers, where = writable(stored(one)), places(one)
    third = layers[2].banks[0]
    if short_of == "a layer":
        layers.pop()
    elif short_of == "a head":
        layers[1] = replace(layers[1], banks=layers[1].banks[:1])
    elif short_of == "a row":
        bank = replace(third, W_Q=third.W_Q[:, 1:], W_K=third.W_K[:, 1:])
        layers[2] = replace(layers[2], banks=(bank,))
    elif short_of == "an MLP":
        layers[3] = replace(layers[3], mlp=None)
    elif short_of == "a subspace":
        where["ok"] = where["count"]
    else:
        layers[2] = replace(layers[2], banks=(replace(third, W_V=third.W_V.astype(np.float64)),))
    assert faults(layers, where, one.spec, tasks, feature_map)


def test_gains_that_keep_the_form_but_break_an_inequality_are_rejected():
    one, tasks, feature_map = model("all parts")
    layers = writable(stored(one))
    for layer in layers[4:6]:
        layer.banks[0].W_Q[:, -3] /= 2  # the row G (1 - <z, c_i>) of every head
    found = faults(layers, places(one), one.spec, tasks, feature_map)
    assert {fault.layer for fault in found} == {"fetch", "execute"}
    assert all("threshold + T <= G (gap - zeta)" in fault.what for fault in found)


def test_every_matrix_is_counted():
    one, _, _ = model("all parts")
    assert matrices(one) == 7 * 4 * 2 + 2 + 2  # K = 2 heads in each layer, two MLPs


def test_a_warmer_transformer_than_the_spec_asks_for_is_rejected():
    one, tasks, feature_map = model("all parts")
    warm = build(replace(one.spec, coldness=30.0), tasks, feature_map)
    found = faults(stored(warm), places(one), one.spec, tasks, feature_map)
    assert any("must be at least" in fault.what for fault in found)


@pytest.mark.parametrize("layer", range(7))
def test_what_is_no_number_is_rejected(layer):
    one, tasks, feature_map = model("all parts")
    layers = writable(stored(one))
    layers[layer].banks[-1].W_Q[-1, 0, 0] = np.nan
    assert LAYERS[layer] in {
        fault.layer for fault in faults(layers, places(one), one.spec, tasks, feature_map)
    }


def test_a_fault_that_prompts_miss_is_seen():
    # One entry of W_K set to 0: residuals in a direction that no example's label has.
    one, tasks, feature_map = model("all parts")
    broken = nnx.clone(one)
    bank = broken.layer("recognize").banks[0]
    weights = np.array(bank.W_K[...])
    weights[0, bank.rows("residual").start, one.residual.where("f").start] = 0
    with in_dtype(one.spec.dtype):
        bank.W_K = nnx.Param(jnp.asarray(weights))
    (fault,) = check_weights(broken, tasks, feature_map)
    assert "recognize" in fault.split() and "W_K of head 0 is 0 in row residual at f" in fault
