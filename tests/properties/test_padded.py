"""Padding changes nothing: what is exact is the same to the last bit, and the rest to rounding."""

import math
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from construct import theorem1
from construct.layers import in_dtype
from construct.prompt import batch_of, embed
from construct.residual import Residual
from tests.properties.padded import (
    LARGEST,
    LENGTHS,
    TOKENS,
    compiled,
    coordinates,
    largest,
    padded_layer,
)
from tests.properties.strategies import Subject
from tests.strategies import Shape
from verify.check import answer_error
from verify.theorem import ALL

# The least and the greatest shape, features, a sum slot, one example of many, noise and ambiguity.
CASES = (
    Subject("apart", Shape(1, 1, 1, 2), 0, (1,), (0,), (0,)),
    Subject("random", Shape(5, 3, 7, 5, features=4, dtype="float64"), 1, (7,), (1,), (1,)),
    Subject("apart", Shape(7, 9, 12, 4, sum_slot=True), 2, (1,), (0,), (0,), 0.9),
    Subject("apart", Shape(24, 24, 40, 8, features=24, sum_slot=True), 3, (40,), (0,), (0,), 0.9),
    Subject("random", Shape(3, 6, 5, 3, features=11), 4, (4,), (1,), (0,), theorem=ALL[2]),
    Subject("sphere", Shape(6, 11, 13, 3, dtype="float64"), 5, (9,), (1,), (1,), theorem=ALL[3]),
)
cases = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.theorem}-{case.shape}")


def rounding(case):
    """How far rounding alone may take an answer from the superposition."""
    return case.theorem.proof.rounding(case.spec)


@cases
def test_an_answer_is_the_models_own_to_rounding(case):
    (prompt,) = case.prompts
    ours, own = case.padded(prompt), case.model(prompt, evaluator="dense")
    assert (ours.recognized == own.recognized).all()
    assert (ours.counts == own.counts).all()
    assert ours.vector.dtype == own.vector.dtype
    assert answer_error(ours.vector, own.vector.astype(float)) <= 2 * rounding(case)


def test_a_wrong_weight_is_further_off():
    case = CASES[1]
    (prompt,) = case.prompts
    *layers, last = case.padded.layers
    (bank, *idle) = last.heads
    last = replace(last, heads=(replace(bank, W_O=0.999 * bank.W_O), *idle))
    ours = replace(case.padded, layers=(*layers, last))(prompt)
    own = case.model(prompt, evaluator="dense")
    assert not answer_error(ours.vector, own.vector) <= 2 * rounding(case)


@cases
def test_the_embedding_is_the_projects_to_the_last_bit(case):
    (prompt,) = case.prompts
    spec, residual = case.spec, case.model.residual
    stream, real, _ = case.padded.embed(prompt)
    with in_dtype(spec.dtype):
        batch = batch_of([prompt], spec)
        own, kept = embed(type(batch)(*(part[0] for part in batch)), residual, spec.m)
    into = coordinates(residual, case.padded.common.stack.residual)
    assert stream.dtype == own.dtype
    np.testing.assert_array_equal(stream[real][:, into], np.asarray(own)[np.asarray(kept)])
    # All else is padding, and the answer token is the last.
    assert real[-1] and not stream[~real].any()
    assert not np.delete(stream, into, axis=1).any()


@cases
def test_padding_is_read_nowhere(case):
    """Whatever stands in tokens that are not real, or in coordinates of x, e and s beyond the
    model's own, the readings are the same to the last bit, and what is not the model's reads 0."""
    (prompt,) = case.prompts
    padded, spec = case.padded, case.spec
    clean = padded.embed(prompt)
    rng = np.random.default_rng(case.seed)
    soiled = clean.stream.copy()
    soiled[~clean.real] = rng.normal(size=(int((~clean.real).sum()), soiled.shape[1]))
    wide = padded.common.stack.residual
    for name in ("x", "e", "s"):
        beyond = np.arange(wide.dim)[wide.where(name)][padded.stack.residual.size(name) :]
        soiled[:, beyond] = rng.normal(size=(len(soiled), len(beyond)))
    assert len(clean.stream) == prompt.tokens or (soiled != clean.stream).any()
    all_of_it = padded.read(clean)
    before, after = (
        padded.cut(one, prompt.examples)
        for one in (all_of_it, padded.read(clean._replace(stream=soiled)))
    )
    for one, other in zip(before, after, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_array_equal(one, other)
    assert not all_of_it.vector[spec.d :].any()
    assert not all_of_it.gap[spec.K :].any()


def test_tokens_that_are_real_are_read():
    """So that the test above can fail: the same noise in one real token changes the answer."""
    case = CASES[1]
    (prompt,) = case.prompts
    clean = case.padded.embed(prompt)
    soiled = clean.stream.copy()
    soiled[np.flatnonzero(clean.real)[1 : case.spec.n], 0] += 0.01
    readings = case.padded.read(clean), case.padded.read(clean._replace(stream=soiled))
    assert (readings[0].gap != readings[1].gap).any()


@cases
def test_both_lengths_agree_to_rounding(case):
    (prompt,) = case.prompts
    vectors = [
        case.padded.cut(case.padded.read(case.padded.embed(prompt, length)), prompt.examples).vector
        for length in LENGTHS
        if length >= prompt.tokens
    ]
    assert vectors
    assert answer_error(vectors[0], vectors[-1].astype(float)) <= 2 * rounding(case)


def roundings(heads_or_tokens, places):
    """The most additions on the way from a summand to the sum, if summands that are not 0 stand at
    these places and `construct.evaluate.dense` sums in about sqrt blocks; adding 0 is exact."""
    size = math.isqrt(heads_or_tokens - 1) + 1
    blocks = np.bincount(np.array(places) // size)
    return int(blocks.max()) - 1 + int((blocks > 0).sum()) - 1


def test_the_proved_bounds_cover_sums_in_other_blocks():
    """The bounds allow 2 ceil(sqrt(N)) roundings for a mean over N tokens, and 2 ceil(sqrt(K)) for
    a sum over K heads. The padded program's blocks have the size of its own N and K; the model's
    own summands, one an example at the most, take no more."""
    for n in range(2, LARGEST["n"] + 1):
        for m in range(1, LARGEST["m"] + 1):
            tokens = 1 + (m + 1) * n
            length = next(length for length in LENGTHS if length >= tokens)
            for slot in range(n):
                places = 1 + n * np.arange(m) + slot
                assert roundings(length, places) <= 2 * (math.isqrt(tokens - 1) + 1)
    for K in range(1, LARGEST["K"] + 1):
        assert roundings(LARGEST["K"], range(K)) <= 2 * (math.isqrt(K - 1) + 1)
    # One block for all, as without sqrt, would take more than the bounds allow.
    assert not LARGEST["m"] - 1 <= 2 * (math.isqrt(3 + 2 * LARGEST["m"] - 1) + 1)


def test_one_program_serves_shapes_of_all_kinds():
    """Once for a theorem, a dtype and one of two numbers of tokens, and never again."""
    shapes = ((1, 2, 3, 4), (9, 8, 7, 6), (2, 24, 1, 8), (24, 1, 10, 3))
    before = len(compiled)  # since other tests ran, their programs may have been given up
    for case in (*CASES, *(Subject("apart", Shape(*s), 0, (s[2],), (0,), (0,)) for s in shapes)):
        case.padded(case.prompts[0])
    anew = compiled[before:]
    assert len(anew) == len(set(anew))
    assert len(set(compiled)) <= 3 * 2 * len(LENGTHS)
    assert (1, "float32", LENGTHS[0]) in compiled


def test_the_largest_has_the_ranges_ends():
    for theorem in (1, 2, 3):
        stack = largest(theorem, "float32").stack
        assert (stack.spec.K, stack.spec.d, stack.spec.m, stack.spec.n) == (24, 24, 40, 8)
        for name in ("x", "y", "e", "s"):
            assert TOKENS.size(name) == stack.residual.size(name)
    assert LENGTHS[-1] == stack.spec.tokens


def test_a_layer_that_is_not_the_others_is_refused():
    first, second = largest(1, "float32").layers[:2]
    into = np.arange(largest(1, "float32").stack.residual.dim)
    with pytest.raises(AssertionError, match="padding leaves how a layer is run as it is"):
        padded_layer(first, second, into)
    with pytest.raises(AssertionError, match="every bank that does something has its place"):
        padded_layer(first, replace(first, heads=first.heads[1:]), into)


def test_its_weights_are_those_that_build_makes():
    case = CASES[1]
    model = theorem1.build(case.spec, case.tasks, case.instance.feature_map)
    for layer, own in zip(case.padded.layers, model.layers, strict=True):
        for bank, other in zip(layer.heads, own.banks, strict=True):
            for name in ("W_Q", "W_K", "W_V", "W_O"):
                np.testing.assert_array_equal(getattr(bank, name), getattr(other, name)[...])


def test_coordinates_are_found_by_name():
    own, common = Residual((("a", 2), ("b", 1))), Residual((("b", 2), ("c", 1), ("a", 3)))
    assert coordinates(own, common).tolist() == [3, 4, 0]
    assert coordinates(own, common, ("b",)).tolist() == [0]
    assert jnp.arange(6)[coordinates(own, common)].tolist() == [3, 4, 0]
