"""Named subspaces, position codes and task codes."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from construct import Spec
from construct.residual import Residual, code_gap, position_code, position_codes, task_codes
from construct.theorem1.readout import decode_codes
from construct.theorem1.stream import embedding_bound, residual_stream

NAMED = Residual(subspaces=(("x", 2), ("y", 1), ("z", 3)), aliases=(("f", "x"),))


def test_subspaces_partition_the_stream():
    assert NAMED.dim == 6
    assert np.concatenate([NAMED[name] for name in NAMED.names]).tolist() == np.eye(6).tolist()
    assert (NAMED["f"] == NAMED["x"]).all()
    assert NAMED.size("z") == 3


def test_read_replace_assemble():
    stream = jnp.arange(12.0).reshape(2, 6)
    assert NAMED.read(stream, "y").tolist() == [[2], [8]]
    replaced = NAMED.replace(stream, "y", jnp.zeros((2, 1)))
    assert replaced[:, 2].tolist() == [0, 0]
    assert (jnp.delete(replaced, 2, 1) == jnp.delete(stream, 2, 1)).all()
    assert NAMED.assemble({"y": jnp.ones((2, 1))}).tolist() == [[0, 0, 1, 0, 0, 0]] * 2


def test_parts_of_a_stream_broadcast_wherever_they_are_held():
    """In NumPy and on the device, by an alias too; all of NumPy stays NumPy."""
    known = {"y": np.ones((1, 1, 1)), "x": np.arange(4.0).reshape(2, 1, 2)}
    mixed = known | {"z": jnp.arange(9.0).reshape(1, 3, 3)}
    stream = NAMED.assemble(mixed)
    assert stream.shape == (2, 3, 6) and isinstance(stream, jnp.ndarray)
    for name, part in mixed.items():
        assert (NAMED.read(stream, name) == part).all()
    held = NAMED.assemble({"y": known["y"], "f": known["x"]})
    assert isinstance(held, np.ndarray) and (held == NAMED.assemble(known)).all()


def test_unknown_and_double_names_are_refused():
    with pytest.raises(
        ValueError,
        match="subspace = 'w': must be a subspace of this residual stream; use one of x, y, z, f",
    ):
        NAMED.where("w")
    with pytest.raises(AssertionError, match="one place"):
        Residual(subspaces=(("x", 1), ("x", 2)))


@given(
    st.integers(1, 12).flatmap(
        lambda bits: st.tuples(st.just(bits), *[st.integers(0, 2**bits - 1)] * 2)
    )
)
def test_position_codes_differ_by_two_and_more(case):
    bits, a, b = case
    inner = position_code(a, bits) @ position_code(b, bits)
    assert inner == bits if a == b else inner <= bits - 2
    assert (
        np.array(position_codes(jnp.array([a, b]), bits, np.dtype("float32")))
        == [position_code(a, bits), position_code(b, bits)]
    ).all()


@given(st.integers(1, 300))
def test_task_codes_differ_by_the_gap(K):
    codes = task_codes(K)
    inner = codes @ codes.T
    assert np.allclose(np.diag(inner), 1)
    if K > 1:
        others = inner[~np.eye(K, dtype=bool)]
        assert others.max() == pytest.approx(1 - code_gap(K), abs=1e-12)
        assert code_gap(K) >= 8 / K**2 * (1 - 1e-12)


@given(st.integers(1, 300), st.floats(-0.45, 0.45), st.floats(0.1, 2))
def test_codes_decode_to_their_task(K, turn, length):
    angle = 2 * np.pi * turn / K
    rotation = length * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    assert (decode_codes(task_codes(K) @ rotation, np.ones(K), K) == np.arange(K)).all()
    assert (decode_codes(task_codes(K), np.zeros(K), K) == -1).all()


@given(
    st.integers(1, 64),
    st.integers(1, 64),
    st.integers(1, 10**6),
    st.integers(3, 10**4),
    st.integers(0, 64),
    st.booleans(),
)
def test_the_width_has_no_K_in_it(K, d, m, n, features, sum_slot):
    spec = Spec(
        K=K,
        d=d,
        m=m,
        n=n,
        features=features,
        sum_slot=sum_slot,
        margin=1.0,
        radius=1.0,
        weight_norm=1.0,
    )
    width = residual_stream(spec).dim
    assert (
        width
        == 2 * d + features + int(np.ceil(np.log2(m + 1))) + int(np.ceil(np.log2(n))) + 9 + sum_slot
    )
    assert width <= embedding_bound(spec)


def test_a_code_that_is_not_a_number_says_nothing():
    codes = task_codes(4)
    codes[1, 0], codes[3] = np.nan, np.nan
    assert decode_codes(codes, np.ones(4), 4).tolist() == [0, -1, 2, -1]
