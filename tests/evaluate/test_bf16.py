"""Products of bfloat16 numbers: the dense answer to the last bit over one-hot vocabularies, and a
refusal wherever they round."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from construct import Prompt, Spec, Task, build, theorem2
from construct.evaluate.bf16 import LARGEST, LEAST_VALUE, Pieces, Split, pieces_of, rounded
from construct.evaluate.dense import read_batch
from construct.prompt import batch_of
from proofs import theorem1 as proof
from tests.evaluate.cases import LAYERS, drawn, model_of
from tests.test_precision import products
from tests.wrong import damaged
from verify.check import answer_error
from verify.draw import Impossible, draw_instance, draw_prompt
from verify.families import WRITINGS, open_family
from verify.oracle import judge

pytestmark = pytest.mark.slow

# Codes on the axes, where a cosine is 6e-17, and others; a sum slot, whose contents are sums of 7
# words; one task, one word.
MENU = (
    {"K": 4, "d": 6, "m": 8, "n": 3},
    {"K": 7, "d": 19, "m": 12, "n": 4},
    {"K": 3, "d": 8, "m": 9, "n": 9, "sum_slot": True},
    {"K": 1, "d": 1, "m": 3, "n": 2},
)
FLOATS = st.floats(width=32, allow_subnormal=False, allow_nan=False, allow_infinity=False)


def words(theorem, seed, shape):
    return drawn(theorem, seed, **shape, one_hot=True)


INSTANCES = [draw_instance(np.random.default_rng(0), **shape, one_hot=True) for shape in MENU]


@settings(max_examples=60)
@given(which=st.sampled_from(range(len(MENU))), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_the_answer_has_the_dense_bits(which, seed, data):
    instance = INSTANCES[which]
    several = instance.spec.K > 1
    rng = np.random.default_rng(seed)
    noise = (
        data.draw(st.integers(0, 2)) if several else 0
    )  # one word leaves none that the task does not say
    ambiguous = data.draw(st.integers(0, 2)) if several else 0
    examples = data.draw(st.integers(noise + ambiguous, instance.spec.m).filter(bool))
    prompts = [
        draw_prompt(rng, instance, examples=examples, noise=noise, ambiguous=ambiguous),
        draw_prompt(rng, instance, noise=noise),
    ]
    model = model_of(1, instance)
    for dense, narrow, prompt in zip(
        model(prompts, evaluator="dense"), model(prompts, evaluator="bf16"), prompts, strict=True
    ):
        assert narrow.evaluator == "bf16"
        assert (narrow.vector == dense.vector).all()
        assert (narrow.recognized == dense.recognized).all()
        verdict = judge(
            instance.tasks,
            prompt,
            instance.spec.tolerance,
            instance.spec.margin,
            None,
            instance.spec.sum_slot,
        )
        assert (narrow.recognized == verdict.recognized).all()
        assert answer_error(narrow.vector, verdict.vector) <= proof.error_bound(instance.spec)


def test_counts_of_more_than_8_bits():
    """300 tasks explain an example in slot 0, and all of them the blanks that pad a shorter prompt:
    201 times 300 is 60,300."""
    d, K = 18, 300
    tables = np.random.default_rng(0).integers(d, size=(K, d))
    tables[:, 0] = 0
    tasks = [Task(slot=0, weight=np.eye(d)[:, table]) for table in tables]
    spec = Spec.of(tasks, m=3, n=202, margin=1.0, radius=1.0)
    inputs = np.eye(d)[np.zeros((3, 201), int)]
    inputs[1:, 0] = np.eye(d)[[1, 2]]
    labels = np.eye(d)[[0, tables[5, 1], tables[7, 2]]]
    model = build(spec, tasks)
    prompts = [
        Prompt(inputs=inputs[-size:], labels=labels[-size:], query=inputs[1]) for size in (3, 1)
    ]
    for dense, narrow in zip(
        *(model(prompts, evaluator=name) for name in ("dense", "bf16")), strict=True
    ):
        assert (narrow.vector == dense.vector).all() and (
            narrow.recognized == dense.recognized
        ).all()


@pytest.mark.parametrize("name", ["country", "word", "ret", "plus"])  # the others need float64
def test_families_of_words_and_numbers(name):
    family, rng = open_family(name), np.random.default_rng(0)
    drawn_words = [WRITINGS[name].draw(rng) for _ in range(12)]
    functions = list(family.functions.values())
    examples = [
        (words, functions[i % len(functions)](words)) for i, words in enumerate(drawn_words[:-1])
    ]
    model = build(family.spec(len(examples)), family.tasks, family.feature_map)
    prompt = family.prompt(examples, drawn_words[-1])
    dense, narrow = (model(prompt, evaluator=name) for name in ("dense", "bf16"))
    assert (
        dense.evidence
        and (narrow.vector == dense.vector).all()
        and (narrow.recognized == dense.recognized).all()
    )


def test_theorem_2_too():
    instance = draw_instance(np.random.default_rng(1), K=5, d=16, m=12, n=3, one_hot=True)
    model = theorem2.build(instance.spec, instance.tasks)
    for seed in range(5):
        prompt = draw_prompt(np.random.default_rng(seed), instance, noise=1)
        dense, narrow = (model(prompt, evaluator=name) for name in ("dense", "bf16"))
        assert (narrow.vector == dense.vector).all() and (
            narrow.recognized == dense.recognized
        ).all()


def multiplied(jaxpr):
    """The operands' types of every matrix product in a program, and the type of its sums."""
    return [
        tuple(str(v.aval.dtype) for v in (*product.invars, *product.outvars))
        for product in products(jaxpr)
    ]


def test_scores_and_moves_of_every_live_bank_are_products_of_bfloat16():
    instance, prompt = words(1, 0, MENU[1])
    model = model_of(1, instance)

    def program(pieces):
        return jax.make_jaxpr(
            lambda batch: read_batch(
                model.layers,
                batch,
                np.array(model.slots),
                readout=model.readout,
                residual=model.residual,
                m=model.spec.m,
                pieces=pieces,
            )
        )(batch_of([prompt], model.spec)).jaxpr

    pieces = pieces_of(model)
    live = sum(bank is not None for layer in pieces for bank in layer)
    narrow = [kinds for kinds in multiplied(program(pieces)) if "bfloat16" in kinds]
    assert live == 6 and narrow == [("bfloat16", "bfloat16", "float32")] * (2 * live)
    assert not [kinds for kinds in multiplied(program(None)) if "bfloat16" in kinds]


def test_more_functions_than_there_are_cannot_be_drawn():
    instance = draw_instance(
        np.random.default_rng(0), K=9, d=3, m=2, n=2, one_hot=True
    )  # x* goes to t, two words anywhere
    assert len({task.weight.tobytes() for task in instance.tasks}) == 9
    with pytest.raises(Impossible, match="no 10 different functions of 3 words"):
        draw_instance(np.random.default_rng(0), K=10, d=3, m=2, n=2, one_hot=True)


# What the chosen pieces must hold, and no more.


def test_positions_and_contents_take_one_piece_and_thresholds_more():
    instance, _ = words(1, 0, MENU[1])
    model = model_of(1, instance)
    by_layer = dict(zip([layer.name for layer in model.layers], pieces_of(model), strict=True))
    (recognize,) = by_layer["recognize"]
    (bank,) = model.layer("recognize").banks
    for term in ("position", "residual"):
        assert set(recognize.query[bank.rows(term)]) == set(recognize.key[bank.rows(term)]) == {1}
    assert recognize.query[bank.rows("threshold")] == (3,)
    assert recognize.value == (3, 3, 1)  # the code's two coordinates, the count
    assert set(by_layer["execute"][0].value) == {1}


@given(
    rows=arrays.arrays(np.float32, (2, 3, 4), elements=FLOATS),
    pieces=st.tuples(*[st.integers(1, 3)] * 4),
)
def test_pieces_add_up_or_are_not_a_number(rows, pieces):
    split = Split(Pieces((1,), (1,), pieces))
    parts = split.values(jnp.asarray(rows), jnp.array([True, True, False]))
    assert parts.dtype == jnp.bfloat16 and parts.shape == (2, 3, sum(pieces))
    whole = np.asarray(split.joined(parts.astype(jnp.float32)))
    bits = np.frexp(rows)[0].astype(float) * 2**24
    enough = (
        bits % 2.0 ** (24 - 8 * np.array(pieces)) == 0
    )  # what may fail: rounding to nearest can save a bit
    enough &= (rows == 0) | (np.abs(rows) >= LEAST_VALUE) & (np.abs(rows) <= LARGEST)
    assert (whole[enough] == rows[enough]).all()
    there = slice(0, 2)
    assert (np.isnan(whole[:, there]) | (whole[:, there] == rows[:, there])).all()
    assert not np.isnan(
        np.asarray(parts, np.float32)[:, 2, :4]
    ).any()  # no token is there: its leading pieces are rounded


@given(
    q=arrays.arrays(np.float32, (1, 2, 3), elements=st.integers(-(2**11), 2**11).map(float)),
    k=arrays.arrays(np.float32, (1, 4, 3), elements=st.integers(-(2**11), 2**11).map(float)),
)
def test_the_pieces_of_queries_meet_those_of_keys(q, k):
    split = Split(Pieces((1, 2, 2), (2, 1, 2), (1,)))
    q[..., 0], k[..., 1] = np.sign(q[..., 0]), np.sign(k[..., 1])  # the rows of one piece
    queries, keys = (
        split.queries(jnp.asarray(q), jnp.ones(2, bool)),
        split.keys(jnp.asarray(k), jnp.ones(4, bool)),
    )
    scores = np.asarray(queries, np.float64) @ np.swapaxes(np.asarray(keys, np.float64), 1, 2)
    assert (scores == q.astype(float) @ np.swapaxes(k.astype(float), 1, 2)).all()


def test_a_weight_between_0_and_1_is_not_a_number_unless_it_is_short():
    weights = jnp.array([[[0.0, 1.0, 0.5], [1.0, 1 / 3, 0.0], [1.0, 1 / 3, 0.0]]])
    found = np.asarray(rounded(weights, jnp.array([True, True, False])), np.float32)
    assert (found[0, 0] == [0, 1, 0.5]).all()
    assert np.isnan(found[0, 1, 1]) and found[0, 1, 0] == 1
    assert not np.isnan(found[0, 2]).any()  # no token is there
    assert np.isnan(
        np.asarray(rounded(jnp.full((1, 1, 1), 2.0**-100), jnp.ones(1, bool)), np.float32)
    ).all()


# What is not exact is refused, with the better reason first.


@pytest.mark.parametrize("part", ["inputs", "labels", "query"])
def test_a_prompt_of_other_numbers_is_refused(part):
    instance, prompt = words(1, 0, MENU[1])
    model = model_of(1, instance)
    value = getattr(prompt, part) * (1 - 2.0**-12)
    wrong = replace(prompt, **{part: value})
    assert model(wrong, evaluator="dense").evaluator == "dense"
    with pytest.raises(
        ValueError, match=r"prompts\[1\]: evaluator = 'bf16'.*use evaluator='dense'"
    ):
        model([prompt, wrong], evaluator="bf16")


def test_queries_are_looked_at_too():
    """Inputs of 7 bits: a residual is such a number, and beta times it is not."""
    instance, prompt = words(1, 0, MENU[1])
    beta = model_of(1, instance).gains.beta
    assert (beta * 127) % 2 == 1 and beta * 127 > 2**8
    with pytest.raises(ValueError, match="'bf16'"):
        model_of(1, instance)(replace(prompt, inputs=prompt.inputs * (127 / 128)), evaluator="bf16")


def test_tasks_of_other_numbers_are_refused():
    instance, prompt = drawn(1, 1, K=3, d=4, m=6, n=3)
    with pytest.raises(ValueError, match="'bf16'"):
        model_of(1, instance)(prompt, evaluator="bf16")


def test_weights_between_0_and_1_are_refused():
    """Superpose's scores cut down: it leaks as no later layer can tell, by far less than bfloat16
    would round."""
    instance, prompt = words(1, 0, MENU[1])
    wrong = damaged(model_of(1, instance), "superpose", "W_Q", lambda old: old * 0.1)
    assert wrong(prompt, evaluator="dense").evidence
    with pytest.raises(ValueError, match="'bf16'"):
        wrong(prompt, evaluator="bf16")


@pytest.mark.parametrize("scale", [1.73e-38, 2.0**-80 / 3, 2.0**60 / 3])
def test_values_whose_pieces_floats_do_not_hold_are_refused(scale):
    instance, prompt = words(1, 0, MENU[1])
    small = damaged(model_of(1, instance), "superpose", "W_V", lambda old: old * np.float32(scale))
    wrong = damaged(small, "superpose", "W_O", lambda old: old / np.float32(scale))
    assert wrong(prompt, evaluator="dense").evidence
    with pytest.raises(ValueError, match="'bf16'"):
        wrong(prompt, evaluator="bf16")


def test_a_weight_that_is_no_number_is_refused():
    instance, prompt = words(1, 0, MENU[1])

    def changed(old):
        old[0, 0, 0] = np.nan
        return old

    with pytest.raises(ValueError, match="'bf16'"):
        damaged(model_of(1, instance), "execute", "W_V", changed)(prompt, evaluator="bf16")


def test_all_bits_of_a_position_are_counted():
    """A row that adds up 255 times each of 20 bits needs 13 bits, and each of them alone but 8."""
    instance = draw_instance(np.random.default_rng(0), K=2, d=3, m=2**20 - 1, n=2, one_hot=True)
    model = build(instance.spec, instance.tasks)
    row = model.layer("pair").banks[0].rows("label").start

    def changed(old):
        old[:, row] = 255 * model.residual["e"].sum(0)
        return old

    wrong = damaged(model, "pair", "W_K", changed)
    assert pieces_of(model)[1][0].key[row] == 1 and pieces_of(wrong)[1][0].key[row] == 2


def test_a_softmax_that_leaks_is_refused():
    instance, prompt = words(1, 0, MENU[1])
    model = build(replace(instance.spec, coldness=10.0), instance.tasks)
    assert model(prompt, evaluator="dense").evidence
    with pytest.raises(ValueError, match="'bf16'"):
        model(prompt, evaluator="bf16")


def test_an_undecided_example_is_the_better_reason():
    instance, prompt = words(1, 0, MENU[1])
    labels = prompt.labels.copy()
    labels[0] *= 0.5
    with pytest.raises(ValueError, match="must be at most tolerance"):
        model_of(1, instance)(replace(prompt, labels=labels), evaluator="bf16")


def test_refuses_float64_and_hooks():
    instance, prompt = words(1, 0, MENU[1])
    model = build(replace(instance.spec, dtype="float64"), instance.tasks)
    with pytest.raises(ValueError, match="keeps its sums in float32"):
        model(prompt, evaluator="bf16")
    with pytest.raises(ValueError, match="evaluator = 'bf16': hooks need the dense evaluator"):
        model_of(1, instance)(prompt, evaluator="bf16", hooks={("pair", "y"): lambda y: None})


def outcome(model, prompt, evaluator):
    try:
        return model(prompt, evaluator=evaluator)
    except ValueError as error:
        return str(error).split(" = ")[0]


def test_any_entry_of_any_weight_counts_as_in_the_dense_pass():
    instance, prompt = words(1, 3, {"K": 3, "d": 6, "m": 6, "n": 3})
    rng, answered = np.random.default_rng(0), 0
    for layer in LAYERS[1]:
        for matrix in ("W_Q", "W_K", "W_V", "W_O"):
            index, amount = int(rng.integers(2**20)), float(rng.choice([1e-3, -0.5, 1.0, 30.0]))

            def changed(old, index=index, amount=amount):
                old.reshape(-1)[index % old.size] += amount * max(np.abs(old).max(), 1)
                return old

            wrong = damaged(model_of(1, instance), layer, matrix, changed)
            dense, narrow = (outcome(wrong, prompt, name) for name in ("dense", "bf16"))
            if isinstance(narrow, str):
                assert narrow in (dense, "prompt: evaluator")
                continue
            answered += 1
            assert not isinstance(dense, str) and (narrow.recognized == dense.recognized).all()
            assert answer_error(narrow.vector, dense.vector.astype(float)) <= 64 * proof.rounding(
                instance.spec
            )
    assert answered >= 6


@pytest.mark.parametrize(
    "layer", ["fetch", "execute", "superpose"]
)  # a halved count would leave Superpose's winners undecided
def test_halved_values_move_the_answer_as_in_the_dense_pass_to_the_last_bit(layer):
    """Halves are as short as wholes, so nothing is refused."""
    instance, prompt = words(1, 3, {"K": 3, "d": 6, "m": 6, "n": 3})
    right = model_of(1, instance)
    wrong = damaged(right, layer, "W_V", lambda old: old / 2)
    before, dense, narrow = (
        model(prompt, evaluator=name)
        for model, name in ((right, "bf16"), (wrong, "dense"), (wrong, "bf16"))
    )
    assert (narrow.vector == dense.vector).all() and (narrow.recognized == dense.recognized).all()
    assert (narrow.vector != before.vector).any()
