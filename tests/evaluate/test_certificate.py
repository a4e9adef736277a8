"""The certificate: it holds for what the constructors build, is never better than what a run shows,
and names a leaky layer."""

import numpy as np
import pytest
from flax import nnx
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from construct import model as callable_model
from construct.evaluate.bounds import code_range, matrix_norm, pair_range
from construct.evaluate.certificate import certificate
from construct.layers import Support
from construct.residual import position_code
from tests.evaluate.cases import LAYERS, drawn, model_of
from tests.strategies import cases
from tests.wrong import damaged


@pytest.mark.slow
@settings(max_examples=40)
@given(cases(count=1))
def test_holds_for_every_constructed_model(case):
    found = certificate(case.model)
    assert found.valid
    assert all(gap >= case.model.gains.T for _, gap in found.gaps)


def support(layer, n, examples, query):
    """Which keys are inside a layer's support for a query token, counted from the declaration in
    words."""
    tokens = np.arange(1 + (examples + 1) * n)
    group, slot = (tokens - 1) // n, (tokens - 1) % n
    asks = group == examples
    own = (group == group[query]) & (tokens > 0) if query else tokens < 0
    inside = {
        Support.SELF: tokens == query,
        Support.EXAMPLE: own,
        Support.QUERY: asks & (tokens > 0),
        Support.EXAMPLE_AND_QUERY: own | (asks & (tokens > 0)),
        Support.LABELS: ~asks & (tokens > 0) & (slot == n - 1),
        Support.INPUTS: ~asks & (tokens > 0) & (slot < n - 1),
    }[layer.support]
    return inside | (tokens == 0)


def stream_before(model, prompt, name):
    """The stream that a layer meets."""
    streams = model.trace(prompt, enforce=False).streams
    return streams[["embed", *streams][list(streams).index(name)]].astype(float)


def outputs_within_radius(model, prompt):
    """Whether the theorem's bound on every task's output holds: the certificate takes it, and every
    run checks it."""
    spec = model.spec
    before = stream_before(model, prompt, model.readout.layer)
    inputs = (np.arange(len(before)) > 0) & (np.arange(len(before)) % spec.n != 0)
    norms = np.linalg.norm(
        np.einsum("hrd,nd->hnr", model.output_rows().astype(float), before[inputs]), axis=-1
    )
    return norms.max() <= spec.radius + model.readout.norm_slack(spec, model.gains)


def tokens_that_matter(model, name, examples):
    """The tokens that the answer can depend on after a layer, walking the supports back from the
    answer token."""
    n = model.spec.n
    matter = {(examples + 1) * n}
    for layer in reversed(model.layers):
        if layer.name == name:
            return matter
        if any(moves(bank) for bank in layer.banks):
            matter = matter | {
                int(key)
                for query in matter
                for key in np.flatnonzero(support(layer, n, examples, query))
            }
    raise KeyError(name)


def moves(bank):
    """Whether a bank of heads moves anything."""
    return np.asarray(bank.W_V[...]).any() and np.asarray(bank.W_O[...]).any()


def seen_gap(model, prompt, name):
    """The least distance, over heads and the query tokens that matter, of the best key outside the
    support from the winner."""
    n, layer = model.spec.n, model.layer(name)
    before = stream_before(model, prompt, name)
    least = np.inf
    for bank in layer.banks:
        if not moves(bank):
            continue
        Q, K = (
            np.einsum("hrd,nd->hnr", np.asarray(W[...], float), before)
            for W in (bank.W_Q, bank.W_K)
        )
        scores = np.einsum("hqr,hkr->hqk", Q, K)
        for q in tokens_that_matter(model, name, prompt.examples):
            inside = support(layer, n, prompt.examples, q)
            visible = np.arange(len(before)) <= q if layer.causal else np.ones(len(before), bool)
            outside = scores[:, q, ~inside & visible]
            if outside.size:
                least = min(least, (scores[:, q, inside & visible].max(1) - outside.max(1)).min())
    return least


def entered(model, layer, matrix, entries):
    """A copy of a model with some entries of a matrix of its first working bank set."""

    def change(old):
        for index, value in entries.items():
            old[index] = value
        return old

    return damaged(model, layer, matrix, change)


def holds_in_a_run(model, prompt, name):
    """Whether a run stays as far from the winner as certified, up to what its own scores
    round by."""
    certified = dict(certificate(model).gaps)[name]
    return (
        seen_gap(model, prompt, name)
        >= certified - 2 * model.gains.error(name) - 1e-3 * model.gains.T
    )


@pytest.mark.slow
@pytest.mark.parametrize("theorem", [1, 2, 3])
@settings(max_examples=12)
@given(seed=st.integers(0, 2**32 - 1), data=st.data())
def test_no_run_comes_closer_than_certified(theorem, seed, data):
    """Neither of the constructed weights nor of wrong ones, at whatever layer and entry."""
    instance, prompt = drawn(theorem, seed, K=3, d=4, m=6, n=3)
    model = model_of(theorem, instance)
    if data.draw(st.booleans()):
        layer, matrix = (
            data.draw(st.sampled_from(LAYERS[theorem])),
            data.draw(st.sampled_from(["W_Q", "W_K", "W_V", "W_O"])),
        )
        shape = getattr(model.layer(layer).banks[0], matrix)[...].shape
        index = data.draw(st.tuples(*(st.integers(0, size - 1) for size in shape)))
        model = entered(
            model,
            layer,
            matrix,
            {index: data.draw(st.sampled_from([0.0, -1.0, 5.0, 30.0, -300.0]))},
        )
    assume(outputs_within_radius(model, prompt))
    assert holds_in_a_run(model, prompt, data.draw(st.sampled_from(LAYERS[theorem])))


def place(model, name, i=0):
    """The coordinate i of a subspace."""
    return model.residual.where(name).start + i


def test_a_code_that_is_moved_as_a_value_is_bounded():
    """Pair's value reads a bit of e: labels are off by 5, by which example it is, and Recognize
    meets long residuals."""
    instance, prompt = drawn(1, 1, K=3, d=4, m=6, n=3)
    model = model_of(1, instance)
    wrong = entered(model, "pair", "W_V", {(0, 1, place(model, "e")): 5.0})
    assert holds_in_a_run(wrong, prompt, "recognize")
    assert seen_gap(wrong, prompt, "recognize") < 0 and not certificate(wrong).valid


def test_tokens_that_nobody_reads_are_keys_still():
    """Labels that idle no more take in a query's code at Tally, and would be found by Balance
    though nobody reads them."""
    instance, prompt = drawn(3, 1, K=3, d=4, m=6, n=3)
    model = model_of(3, instance)
    bank = model.layer("tally").banks[0]
    T, code = model.gains.T, np.asarray(certificate_excluded(model))
    wrong = entered(
        model, "tally", "W_Q", {(0, bank.rows("idle").start, place(model, "lab")): -3 * T - 1}
    )
    wrong = entered(
        wrong,
        "tally",
        "W_O",
        {(0, place(model, "e", bit), 0): 50 * sign for bit, sign in enumerate(code)},
    )
    for name in ("balance", "open"):
        assert holds_in_a_run(wrong, prompt, name)
    assert not certificate(wrong).valid


def certificate_excluded(model):
    """The query's code."""
    return position_code(model.spec.m, model.spec.example_bits)


def test_scores_that_round_by_a_gap_are_refused():
    """A common offset changes no exact difference, and eats all of them in floats."""
    instance, _ = drawn(1, 1, K=3, d=4, m=6, n=3)
    model = model_of(1, instance)
    offset = entered(model, "superpose", "W_K", {(0, 0, place(model, "one")): 1e10})
    found = certificate(offset)
    assert not found.valid and "the scores round by so much" in found.flaw


def test_a_write_to_the_codes_is_refused():
    instance, _ = drawn(1, 1, K=3, d=4, m=6, n=3)
    model = model_of(1, instance)
    written = entered(model, "pair", "W_O", {(0, place(model, "e"), 1): 1e-3})
    assert (
        certificate(written).flaw
        == "pair writes to e, which must stay the code of a token's example"
    )


@pytest.mark.parametrize(
    ("layer", "matrix"),
    [("recognize", "W_V"), ("commit", "W_V"), ("superpose", "W_O"), ("fetch", "W_O")],
)
def test_an_ablated_layer_goes_to_the_dense_evaluator(monkeypatch, layer, matrix):
    instance, prompt = drawn(1, 1, K=3, d=4, m=6, n=3)
    ablated = damaged(model_of(1, instance), layer, matrix, lambda old: 0 * old)
    assert certificate(ablated).flaw == f"no head of {layer} moves anything"
    monkeypatch.setattr(callable_model, "DENSE_TOKENS", 0)
    assert ablated(prompt).evaluator == "dense"


@pytest.mark.parametrize(
    ("supports", "who"),
    [
        ({"superpose": Support.QUERY}, "none does"),
        ({"fetch": Support.LABELS}, "fetch and superpose do"),
        ({"fetch": Support.INPUTS, "pair": Support.LABELS}, "pair and fetch and superpose do"),
    ],
)
def test_examples_that_do_not_meet_once_go_to_the_dense_evaluator(monkeypatch, supports, who):
    """Such a layer declares what the restricted evaluator has no way to run."""
    instance, prompt = drawn(1, 1, K=3, d=4, m=6, n=3)
    other = nnx.clone(model_of(1, instance))
    for name, support in supports.items():
        other.layer(name).support = support
    assert certificate(other).flaw == f"one layer must gather over all examples, and here {who}"
    monkeypatch.setattr(callable_model, "DENSE_TOKENS", 0)
    assert other(prompt).evaluator == "dense"


TERMS = {
    1: {
        "pair": "example",
        "recognize": "position",
        "commit": "example",
        "fetch": "place",
        "execute": "position",
        "superpose": "committed",
    },
    2: {"pair": "example", "recognize": "position", "superpose": "committed"},
    3: {
        "recognize": "example",
        "tally": "committed",
        "balance": "place",
        "open": "place",
        "correct": "place",
    },
}


@pytest.mark.parametrize(
    ("theorem", "layer", "term"),
    [(i, *pair) for i, terms in TERMS.items() for pair in terms.items()],
)
def test_names_the_layer_whose_term_points_the_other_way(theorem, layer, term):
    instance, prompt = drawn(theorem, 1, K=3, d=4, m=6, n=3)
    model = model_of(theorem, instance)
    rows = model.layer(layer).banks[0].rows(term)

    def turned(old):
        old[:, rows] *= -1
        return old

    found = certificate(damaged(model, layer, "W_K", turned))
    assert not found.valid and found.flaw.startswith(f"in {layer} a key outside the support")
    with pytest.raises(ValueError, match=f"in {layer} a key outside"):
        damaged(model, layer, "W_K", turned)(prompt, evaluator="restricted")


def test_a_hypothesis_that_bounds_outputs_carries_recognize():
    """Twice as long outputs reach other tokens: the bound must see the matrices, not only the
    gains."""
    instance, _ = drawn(1, 1, K=3, d=4, m=6, n=3)
    model = model_of(1, instance)
    rows = model.layer("recognize").banks[0].rows("residual")

    def longer(old):
        old[:, rows] *= 2
        return old

    found = certificate(damaged(model, "recognize", "W_Q", longer))
    assert not found.valid and "recognize" in found.flaw


weights = st.lists(st.floats(-4, 4), min_size=3, max_size=3).map(np.array)


@given(weights, st.integers(0, 7))
def test_code_range_is_exact(weight, excluded):
    codes = np.array([[2.0 * (i >> b & 1) - 1 for b in range(3)] for i in range(8)])
    values = np.delete(codes, excluded, axis=0) @ weight
    low, high = code_range(weight[None], codes[excluded])
    assert low[0] == pytest.approx(values.min(), abs=1e-12) and high[0] == pytest.approx(
        values.max(), abs=1e-12
    )


@given(
    st.lists(st.floats(-4, 4), min_size=9, max_size=9).map(lambda x: np.array(x).reshape(1, 3, 3))
)
def test_pair_range_encloses(form):
    codes = np.array([[2.0 * (i >> b & 1) - 1 for b in range(3)] for i in range(8)])
    values = np.einsum("ib,bc,jc->ij", codes, form[0], codes)
    for same in (True, False):
        low, high = pair_range(form, same)
        chosen = values[np.eye(8, dtype=bool) == same]
        assert low[0] <= chosen.min() + 1e-9 and chosen.max() <= high[0] + 1e-9


@given(st.integers(0, 2**32 - 1))
def test_matrix_norm_bounds_the_spectral_norm(seed):
    matrix = np.random.default_rng(seed).normal(size=(2, 4, 3))
    assert (matrix_norm(matrix) >= np.linalg.norm(matrix, 2, axis=(1, 2)) - 1e-12).all()
    assert (matrix_norm(np.eye(3)[None] * 2) == 2).all()
