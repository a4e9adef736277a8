"""The weights have the form that the theorem assumes, and no single entry can be wrong unseen."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from construct import build
from construct.layers import in_dtype
from tests.mutants.entries import WITHIN_ROUNDING, model, places, strikes, writable
from tests.strategies import Case, cases
from verify.theorem1.weights import LAYERS, check_weights, faults
from verify.weights import matrices, stored


def assert_blamed(layer: str, name: str, blamed: set[str]) -> None:
    """This layer alone is blamed; with one task Fetch and Execute hold the two copies of a
    threshold, and no third says which of them is right."""
    twins = {"fetch", "execute"} if name == "one task" else {layer}
    assert blamed == {layer} or (layer in twins and blamed <= twins)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(
    "name", ["all parts", "one task", pytest.param("warm", marks=pytest.mark.slow)]
)
def test_every_entry_that_is_wrong_is_rejected_at_its_own_layer(name, layer):
    found = list(strikes(name, layer))
    assert len(found) > 20
    for strike in found:
        if strike.blamed:
            assert_blamed(layer, name, set(strike.blamed))
        else:
            assert strike.off <= 2e-7
            assert (strike.layer, strike.array) in WITHIN_ROUNDING.values()


@pytest.mark.slow
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
    assert {layer for fault in wrong for layer in LAYERS if f"weights of {layer}:" in fault} == {
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
        "the weights of recognize: W_K of head 1 is 0.5 in row residual at y, must be -1"
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
    assert "weights of recognize: " in fault and "W_K of head 0 is 0 in row residual at f" in fault
