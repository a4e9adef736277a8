"""A prompt by the block: any cut gives the same answer, blocks are taken one at a time, and bad
ones are refused by name."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import Mesh

from construct import Prompt, Spec, Task, build
from construct.evaluate import chunk, prepared, streaming
from construct.evaluate.attention import softmax
from construct.evaluate.chunk import Norms
from construct.evaluate.program import halved_sum
from proofs import theorem1 as proof
from tests.evaluate.cases import drawn, model_of
from verify.check import answer_error
from verify.draw import draw_prompt
from verify.oracle import judge
from verify.theorem import ALL

INSTANCE, PROMPT = drawn(1, 2, K=4, d=6, m=40, n=3)
MODEL = model_of(1, INSTANCE)
WHOLE = MODEL(PROMPT, evaluator="restricted")


def cut(at, prompt=PROMPT):
    edges = [0, *sorted(at), prompt.examples]
    return [(prompt.inputs[a:b], prompt.labels[a:b]) for a, b in pairwise(edges)]


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_softmax_over_classes(classes):
    """The share of a class of one key is that of the softmax over all; NaN shows."""
    scores = np.random.default_rng(classes).normal(size=(classes, 2, 1, 1, 4)).astype(np.float32)
    scores[:, 0, 0, 0, 0] = 3  # a tie
    shares = np.array([weights.share for weights in softmax(list(jnp.array(scores)))])[:, :, 0]
    expected = np.exp(scores.astype(float))[:, :, 0, 0]
    np.testing.assert_allclose(
        shares, expected / expected.sum(0), rtol=8 * np.finfo(np.float32).eps
    )
    scores[0, 1, 0, 0, 2] = np.nan
    assert all(np.isnan(weights.share[1, 0, 2]) for weights in softmax(list(jnp.array(scores))))


@settings(max_examples=20)
@given(at=st.lists(st.integers(0, 40), max_size=5))
def test_any_cut_gives_the_same_answer(at):
    answer = MODEL.stream(cut(at), PROMPT.query)
    assert answer.evaluator == "restricted"
    assert (answer.vector == WHOLE.vector).all()  # the chunks are the same, whatever the blocks
    assert (answer.recognized == WHOLE.recognized).all() and (answer.counts == WHOLE.counts).all()


@pytest.mark.parametrize("size", [chunk.CHUNK, 16])
def test_a_whole_prompt_is_a_stream_of_one_block(monkeypatch, size):
    """Whether it is shorter than a chunk or not."""
    monkeypatch.setattr(chunk, "CHUNK", size)
    whole = streaming.answer_prompts(MODEL, [PROMPT], ["prompt"])[0]
    stream = MODEL.stream(cut([]), PROMPT.query)
    assert (whole.vector == stream.vector).all()
    assert (whole.recognized == stream.recognized).all()


@pytest.mark.parametrize("length", [1, 7, 16])
def test_any_chunk_gives_the_answer(monkeypatch, length):
    monkeypatch.setattr(chunk, "CHUNK", length)
    monkeypatch.setattr(chunk, "SHORTEST", length)
    done = []
    answer = MODEL.stream(cut([5, 30]), PROMPT.query, progress=done.append)
    assert (answer.recognized == WHOLE.recognized).all()
    assert answer_error(answer.vector, WHOLE.vector.astype(float)) <= 2 * proof.rounding(
        INSTANCE.spec
    )
    assert done == [*range(length, 40, length), 40]


# What chunks of a theorem share: of which tokens, and whether each token of an example sees itself
# alone among them. Theorem 3's heads have no matrix of their own.
SHARED = {1: {("BOS", False), ("label", True)}, 2: {("BOS", False)}, 3: set()}


def poisoned(made, keys):
    """The same with NaN where it was made of these tokens."""
    return [
        [
            {
                of: {name: value * (np.nan if of == keys else 1) for name, value in found.items()}
                for of, found in bank.items()
            }
            for bank in banks
        ]
        for banks in made
    ]


@pytest.mark.parametrize("theorem", [1, 2, 3])
@pytest.mark.parametrize("length", [1, 16])
def test_chunks_take_what_they_share_from_where_it_was_made_once(monkeypatch, theorem, length):
    """They give the same answer as chunks that make it again, and none where a part of it is not a
    number."""
    instance, prompt = drawn(theorem, 2, K=4, d=6, m=40, n=3)
    model = model_of(theorem, instance)
    monkeypatch.setattr(chunk, "CHUNK", length)
    monkeypatch.setattr(chunk, "SHORTEST", length)
    monkeypatch.setattr(streaming, "WORTH_A_PROGRAM", 0)
    found, make = [], chunk.fixed
    monkeypatch.setattr(chunk, "fixed", lambda *of: found.append(make(*of)) or found[-1])
    shared = model.stream(cut([], prompt), prompt.query)
    (made,) = found
    assert {of for banks in made for bank in banks for of in bank} == SHARED[theorem]
    monkeypatch.setattr(chunk, "fixed", lambda *of: [])
    again = model.stream(cut([], prompt), prompt.query)
    assert answer_error(shared.vector, again.vector.astype(float)) <= 2 * ALL[
        theorem
    ].proof.rounding(instance.spec)
    for keys in SHARED[theorem]:
        # A chunk of a single example has no mixture to share.
        if length > 1 or keys == ("BOS", False):
            monkeypatch.setattr(chunk, "fixed", lambda *of, keys=keys: poisoned(made, keys))
            assert np.isnan(model.stream(cut([], prompt), prompt.query).vector).all()


def test_little_is_made_again_in_every_chunk(monkeypatch):
    """Sooner than a program for it compiles."""
    monkeypatch.setattr(chunk, "CHUNK", 16)
    monkeypatch.setattr(chunk, "fixed", None)
    assert (MODEL.stream(cut([]), PROMPT.query).recognized == WHOLE.recognized).all()


def test_few_counts_of_chunks_compile(monkeypatch):
    """Shares are put together in numbers of a power of two, the last of them empty."""
    monkeypatch.setattr(chunk, "CHUNK", 8)
    chunk.finish.clear_cache()
    for count in (17, 31):  # three chunks, and four
        answer = MODEL.stream([(PROMPT.inputs[:count], PROMPT.labels[:count])], PROMPT.query)
        short = Prompt(PROMPT.inputs[:count], PROMPT.labels[:count], PROMPT.query)
        whole = MODEL(short, evaluator="dense")
        assert (answer.recognized == whole.recognized).all()
        assert answer_error(answer.vector, whole.vector.astype(float)) <= 2 * proof.error_bound(
            INSTANCE.spec
        )
    assert chunk.finish._cache_size() == 1


def test_a_chunk_goes_by_the_work_in_it(monkeypatch):
    """Products of two numbers in Recognize: features, outputs and tasks, or the rows of a
    sketch."""
    spec = MODEL.spec
    ready = prepared.prepare(MODEL)
    query = streaming.Query(ready, PROMPT.query)
    assert streaming.OneDevice(ready, query, spec.dtype).chunk == chunk.CHUNK <= ready.longest
    example = (spec.n - 1) * spec.K * spec.d * spec.r
    monkeypatch.setattr(prepared, "CHUNK_PRODUCTS", 100 * example)
    ready = prepared.prepare(MODEL)
    assert ready.longest == 64  # the largest power of two up to 100
    assert streaming.OneDevice(ready, query, spec.dtype).chunk == 64
    monkeypatch.setattr(chunk, "CHUNK", 16)
    assert streaming.OneDevice(ready, query, spec.dtype).chunk == 16
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert prepared.prepare(MODEL).longest == 1 << 15


def test_blocks_are_taken_as_they_are_needed(monkeypatch):
    """A chunk is sent off before the next block is asked for: the prompt need not fit into
    memory."""
    monkeypatch.setattr(chunk, "CHUNK", 8)
    order = []

    def blocks():
        for i in range(5):
            order.append("block")
            yield PROMPT.inputs[8 * i : 8 * i + 8], PROMPT.labels[8 * i : 8 * i + 8]

    MODEL.stream(blocks(), PROMPT.query, progress=lambda done: order.append("done"))
    assert order == ["block", "done"] * 5


def refilled(sizes, dtype, change=None):
    """Blocks of these sizes that share one piece of memory: each is overwritten when the next one
    is asked for."""
    x, y = (
        np.empty((max(sizes), *PROMPT.inputs.shape[1:]), dtype),
        np.empty((max(sizes), PROMPT.labels.shape[1]), dtype),
    )
    start = 0
    for size in sizes:
        part = slice(start, start + size)
        x[:size], y[:size] = PROMPT.inputs[part], PROMPT.labels[part]
        if change == start:
            y[0] *= 40
        yield x[:size], y[:size]
        x[:], y[:] = np.nan, np.nan
        start += size


MESHES = {"one device": None, "mesh": Mesh(np.array(jax.devices()[:1]), ("examples",))}


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(8,) * 5, (3, 1, 5, 30, 1), (20, 20)])
def test_an_iterator_may_fill_the_same_memory_again(monkeypatch, sizes, dtype, mesh):
    """Chunks are still under way, or waiting to be full, when the next block is asked for."""
    monkeypatch.setattr(chunk, "CHUNK", 8)
    plain = MODEL.stream(
        [(PROMPT.inputs.astype(dtype), PROMPT.labels.astype(dtype))],
        PROMPT.query,
        mesh=MESHES[mesh],
    )
    answer = MODEL.stream(refilled(sizes, dtype), PROMPT.query, mesh=MESHES[mesh])
    assert (answer.vector == plain.vector).all() and (answer.recognized == plain.recognized).all()
    with pytest.raises(
        ValueError, match=r"labels\[0\]"
    ):  # what is looked at again is what was sent
        MODEL.stream(refilled(sizes, dtype, change=0), PROMPT.query, mesh=MESHES[mesh])


@pytest.mark.parametrize(("count", "dtype"), [(32, np.float32), (30, np.float32), (32, np.float64)])
def test_a_prompt_of_one_chunk_is_copied_once(monkeypatch, count, dtype):
    """As its iterator may fill the memory again; padded and converted it is where it becomes a row
    for the device."""
    monkeypatch.setattr(chunk, "SHORTEST", 8)
    padded_copy, made = streaming.padded_copy, []

    def counted(part, *arguments):
        made.append(len(part))
        return padded_copy(part, *arguments)

    monkeypatch.setattr(streaming, "padded_copy", counted)
    answer = MODEL.stream(refilled([count], dtype), PROMPT.query)
    assert made == [count, count]  # inputs and labels
    plain = MODEL(
        Prompt(PROMPT.inputs[:count], PROMPT.labels[:count], PROMPT.query), evaluator="restricted"
    )
    assert (answer.vector == plain.vector).all() and (answer.recognized == plain.recognized).all()


def test_a_file_mapped_for_writing_may_be_filled_again(tmp_path):
    """As any memory; one mapped for reading is not copied."""
    mapped = np.memmap(tmp_path / "inputs", PROMPT.inputs.dtype, "w+", shape=PROMPT.inputs.shape)

    def block():
        mapped[:] = PROMPT.inputs
        yield mapped, PROMPT.labels
        mapped[:] = np.nan

    answer = MODEL.stream(block(), PROMPT.query)
    assert (answer.vector == WHOLE.vector).all() and (answer.recognized == WHOLE.recognized).all()
    reading = np.memmap(tmp_path / "inputs", mapped.dtype, "r", shape=mapped.shape)
    assert np.shares_memory(streaming.owned(np.asarray(reading)), reading)


@pytest.mark.parametrize("length", [4, 64])
def test_a_query_whose_output_is_too_long_is_refused(monkeypatch, length):
    """In a prompt of several chunks, and of one."""
    monkeypatch.setattr(chunk, "CHUNK", length)
    tasks = [
        Task(slot=0, weight=np.diag([0.9, 0.1]), bias=[0.6, 0]),
        Task(slot=0, weight=np.diag([0.1, 0.1]), bias=[0, 0.9]),
    ]
    model = build(Spec.of(tasks, m=8, n=2, margin=0.5, radius=1.0), tasks)
    inputs = np.tile([[-1.0, 0.0]], (8, 1))
    blocks = [(inputs[:, None], inputs @ tasks[0].weight.T + tasks[0].bias)]
    assert (model.stream(blocks, inputs[:1]).recognized == 0).all()
    with pytest.raises(ValueError, match=r"query, slot 0.*output of norm 1\.5"):
        model.stream(blocks, -inputs[:1])


@pytest.mark.parametrize(
    ("bias", "scale", "expected"),
    [
        (0.05, 1, 6 * ["bound"]),
        (0.6, 1, 6 * ["exact"]),  # ||W|| R + ||b|| exceeds the radius, and no output does
        # All chunks but the first are so; the second one tells, and by then some more are under
        # way.
        (
            0.05,
            1.5,
            ["bound"]
            + (1 + streaming.UNDER_WAY) * ["bound", "again"]
            + (4 - streaming.UNDER_WAY) * ["exact"],
        ),
    ],
)
def test_outputs_whose_bound_is_too_long_are_computed(monkeypatch, bias, scale, expected):
    monkeypatch.setattr(chunk, "CHUNK", 16)
    rng = np.random.default_rng(0)
    weight = np.diag([0.9, 0.1, 0.1, 0.1])
    tasks = [
        Task(slot=0, weight=weight, bias=np.array([bias, 0, 0, 0])),
        Task(slot=0, weight=weight / 20, bias=[0, 0.9, 0, 0]),
    ]
    spec = Spec.of(tasks, m=96, n=2, margin=0.5, radius=1.0)
    model = build(spec, tasks)
    x = rng.normal(size=(96, 1, 4))
    x[..., 0] = -np.abs(x[..., 0]) if scale == 1 else 0
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    x[16:] *= scale
    prompt = Prompt(x, x[:, 0] @ weight.T + tasks[0].bias, x[0])
    run_chunk, ran = chunk.run_chunk, []

    words = {Norms.BOUND: "bound", Norms.LONGEST: "exact", Norms.EVERY: "again"}

    def counted(*arguments, variant):
        ran.append(words[variant.norms])
        return run_chunk(*arguments, variant=variant)

    monkeypatch.setattr(chunk, "run_chunk", counted)
    dense, answer = (model(prompt, evaluator=name) for name in ("dense", "restricted"))
    assert (answer.recognized == 0).all() and (dense.recognized == 0).all()
    assert answer_error(answer.vector, dense.vector.astype(float)) <= 2 * proof.rounding(spec)
    assert sorted(ran) == sorted(expected)


def test_integers_and_other_floats_are_taken():
    blocks = [(PROMPT.inputs.astype(np.float32), PROMPT.labels.astype(np.float16))]
    assert (MODEL.stream(blocks, PROMPT.query).recognized == WHOLE.recognized).all()
    inputs, _ = streaming.check_block(INSTANCE.spec, (np.ones((3, 2, 6), int), np.ones((3, 6))), 0)
    assert inputs.dtype == np.float64


def changed(**parts):
    arrays = {"inputs": np.array(PROMPT.inputs), "labels": np.array(PROMPT.labels)} | parts
    return [(arrays["inputs"], arrays["labels"])]


def with_value(array, index, value):
    array = np.array(array)
    array[index] = value
    return array


def halfway():
    """A label halfway between tolerance and margin from its task's output, and its index."""
    spec = INSTANCE.spec
    j = int(np.flatnonzero(WHOLE.recognized >= 0)[-1])
    task = INSTANCE.tasks[WHOLE.recognized[j]]
    output = task.weight @ PROMPT.inputs[j, task.slot] + task.bias
    away = -output / np.linalg.norm(output)
    return j, with_value(PROMPT.labels, j, output + away * (spec.tolerance + spec.margin) / 2)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([], "blocks = no examples"),
        ([(np.zeros((0, 2, 6)), np.zeros((0, 6)))], "blocks = no examples"),
        ([np.zeros(3)], r"blocks\[0\]"),
        ([None], r"blocks\[0\] = a NoneType: must be a pair"),
        (
            [(np.zeros((3, 2, 5)), np.zeros((3, 5)))],
            r"blocks\[0\] inputs = an array of shape \(3, 2, 5\)",
        ),
        (
            [(np.zeros((3, 2, 6)), np.zeros((2, 6)))],
            r"blocks\[0\] .* the same b in inputs and labels",
        ),
        ([(np.zeros((3, 2, 6), complex), np.zeros((3, 6)))], "must hold real numbers"),
        ([*changed(), *changed()], "prompt.inputs = more than 40 examples"),
        (
            changed(inputs=with_value(PROMPT.inputs, (7, 1, 0), np.nan)),
            r"prompt.inputs\[7, 1, 0\] = nan: must be finite",
        ),
        (
            changed(inputs=with_value(PROMPT.inputs, (7, 1, 0), 1e6)),
            r"inputs\[7, 1\] = a vector of norm 1e\+06",
        ),
        (
            changed(labels=with_value(PROMPT.labels, (39, 0), 1e6)),
            r"prompt.labels\[39\] = a vector of norm 1e\+06",
        ),
        (changed(labels=halfway()[1]), f"example {halfway()[0]}, task .* a residual of"),
    ],
)
def test_bad_blocks_are_refused_by_name(blocks, message):
    with pytest.raises(ValueError, match=message):
        MODEL.stream(blocks, PROMPT.query)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (changed(labels=halfway()[1]), rf"prompt example {halfway()[0]}, task"),
        (
            changed(labels=with_value(PROMPT.labels, (39, 0), 1e6)),
            r"prompt.labels\[39\] = a vector of norm",
        ),
        (
            changed(inputs=with_value(PROMPT.inputs, (38, 1, 0), np.inf)),
            r"prompt.inputs\[38, 1, 0\] = inf",
        ),
    ],
)
def test_an_example_is_named_by_its_place_in_the_prompt(monkeypatch, blocks, message):
    monkeypatch.setattr(chunk, "CHUNK", 16)
    with pytest.raises(ValueError, match=message):
        MODEL.stream(blocks, PROMPT.query)


def test_a_sum_that_is_too_long_is_refused_as_by_the_dense_evaluator():
    """Two inputs within the bound whose sum, which Lift writes into the blank slot, is not."""
    instance, prompt = drawn(1, 0, K=2, d=4, m=6, n=4, sum_slot=True)
    model = model_of(1, instance)
    inputs = np.array(prompt.inputs)
    inputs[3, :2] = 0.52 * instance.spec.input_radius * np.eye(4)[0]
    with pytest.raises(ValueError, match="a vector of norm") as dense:
        model(Prompt(inputs=inputs, labels=prompt.labels, query=prompt.query), evaluator="dense")
    with pytest.raises(ValueError, match=r"prompt.inputs\[3, 2\] = a vector of norm") as streamed:
        model.stream([(inputs, prompt.labels)], prompt.query)
    assert str(streamed.value) == str(dense.value)
    inputs[3, 2] = 0.1
    with pytest.raises(ValueError, match="the sum slot must be blank"):
        model.stream([(inputs, prompt.labels)], prompt.query)


def test_many_small_blocks_are_gathered(monkeypatch):
    monkeypatch.setattr(chunk, "CHUNK", 16)
    blocks = [(PROMPT.inputs[i : i + 1], PROMPT.labels[i : i + 1]) for i in range(40)]
    assert (MODEL.stream(blocks, PROMPT.query).recognized == WHOLE.recognized).all()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (np.zeros((2, 5)), r"query = an array of shape \(2, 5\)"),
        (np.full((2, 6), 1e6), "query.* a vector of norm"),
        ("x", "query"),
    ],
)
def test_bad_queries_are_refused(query, message):
    with pytest.raises(ValueError, match=message):
        MODEL.stream(cut([]), query)


def test_a_task_with_too_long_an_output_is_refused_on_the_query_too():
    """The output norms of all tasks are a hypothesis; the restricted evaluator finds the same fault
    as the dense one."""
    spec = INSTANCE.spec
    longest = PROMPT.query * (
        spec.input_radius / np.linalg.norm(PROMPT.query, axis=1, keepdims=True)
    )
    prompt = Prompt(inputs=PROMPT.inputs, labels=PROMPT.labels, query=longest)
    messages = []
    for evaluator in ("dense", "restricted"):
        try:
            MODEL(prompt, evaluator=evaluator)
            messages.append("answered")
        except ValueError as error:
            messages.append(str(error).split(" of norm")[0])
    assert messages[0] == messages[1]


# No subnormal numbers, which a device may flush; nor sums that are.
NUMBERS = st.floats(-1e3, 1e3, width=32, allow_subnormal=False)


@given(st.lists(NUMBERS, min_size=1, max_size=70))
def test_halved_sums(numbers):
    array = np.array(numbers, np.float32) * (1 << 20)
    depth = int(np.ceil(np.log2(len(array)))) if len(array) > 1 else 0
    error = depth * 2.0**-24 / (1 - depth * 2.0**-24) * np.abs(array).astype(float).sum()
    assert abs(float(halved_sum(jnp.asarray(array))) - array.astype(float).sum()) <= error


@pytest.mark.slow
def test_prompts_of_a_batch_run_together_and_answer_as_alone():
    """Ragged ones, of two padded lengths, and one with a hypothesis in doubt among them."""
    rng = np.random.default_rng(3)
    instance, _ = drawn(1, 2, K=4, d=6, m=140, n=3)
    model = model_of(1, instance)
    lengths = (70, 3, 100, 140, 64)
    prompts = [draw_prompt(rng, instance, examples=length) for length in lengths]
    together = model(prompts, evaluator="restricted")
    for prompt, answer in zip(prompts, together, strict=True):
        verdict = judge(instance.tasks, prompt, instance.spec.tolerance, instance.spec.margin)
        assert (answer.recognized == verdict.recognized).all()
        assert answer_error(answer.vector, verdict.vector) <= proof.error_bound(instance.spec)
    labels = np.array(prompts[2].labels)
    task = instance.tasks[int(together[2].recognized[0])]
    output = task.weight @ prompts[2].inputs[0, task.slot] + task.bias
    away = -output / np.linalg.norm(output)
    labels[0] = output + away * (instance.spec.tolerance + instance.spec.margin) / 2
    prompts[2] = Prompt(prompts[2].inputs, labels, prompts[2].query)
    with pytest.raises(ValueError, match=r"prompts\[2\] example 0, task .* a residual of"):
        model(prompts, evaluator="restricted")
