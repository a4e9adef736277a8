"""A prompt as a memory gives a call's answers: its recognized tasks, counts and errors, and vectors
within the stated bounds, whatever is asked, added or forgotten."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from construct import Memory, Prompt, Spec, Task, theorem1
from construct.evaluate import chunk, program, recall
from construct.evaluate.prepared import prepare
from proofs import memory as proof
from tests.evaluate.cases import drawn, model_of
from tests.properties.padded import unchecked
from verify.check import answer_error
from verify.oracle import judge
from verify.theorem import ALL

SHAPES = {
    1: {"K": 4, "d": 6, "m": 40, "n": 3},
    2: {"K": 4, "d": 6, "m": 40, "n": 3},
    3: {"K": 4, "d": 6, "m": 40, "n": 3},
    "features": {"K": 3, "d": 4, "m": 20, "n": 4, "features": 5, "sum_slot": True},
    "carried": {"K": 3, "d": 4, "m": 20, "n": 4, "features": 5},
}
CASES = [(1, 1), (2, 2), (3, 3), (1, "features"), (2, "carried")]


def subject(theorem, kind):
    instance, prompt = drawn(theorem, 2, **SHAPES[kind])
    return instance, prompt, model_of(theorem, instance)


def verdict_of(instance, prompt):
    spec = instance.spec
    return judge(
        instance.tasks, prompt, spec.tolerance, spec.margin, instance.feature_map, spec.sum_slot
    )


def part_of(prompt, where, query=None):
    return Prompt(
        prompt.inputs[where], prompt.labels[where], prompt.query if query is None else query
    )


def holds(theorem, instance, answer, verdict, bound=proof.error_bound):
    """Whether an answer is the definition's, within a bound."""
    limit = bound(ALL[theorem].proof, instance.spec)
    return (
        (answer.recognized == verdict.recognized).all()
        and (answer.counts == verdict.counts).all()
        and answer_error(answer.vector, verdict.vector) <= limit
    )


@pytest.mark.slow
@pytest.mark.parametrize(("theorem", "kind"), CASES)
@settings(max_examples=6)
@given(data=st.data())
def test_whatever_is_shown_added_and_forgotten(theorem, kind, data):
    """Against the definition, the dense and the restricted evaluator on the prompt that is left."""
    instance, prompt, model = subject(theorem, kind)
    count = prompt.examples
    shown = data.draw(st.integers(1, count), "shown")
    # More than 16 examples are left: fewer would be padded to another length, and compile again.
    places = st.lists(st.integers(0, count - 1), unique=True, max_size=count - 17)
    gone = data.draw(places, "gone")
    query = prompt.inputs[data.draw(st.integers(0, count - 1), "query")]
    memory = model.remember([(prompt.inputs[:shown], prompt.labels[:shown])])
    assert len(memory) == shown
    memory.extend([(prompt.inputs[shown:], prompt.labels[shown:])])
    memory.forget(gone)
    left = part_of(prompt, np.setdiff1d(np.arange(count), gone), query)
    verdict = verdict_of(instance, left)
    answer = memory.ask(query)
    assert answer.evaluator == "memory"
    assert holds(theorem, instance, answer, verdict)
    many = memory.ask(np.stack([query, prompt.query]))
    assert many.vector.shape == (2, instance.spec.d)
    one = replace(many, vector=many.vector[0])
    assert holds(theorem, instance, one, verdict, proof.map_error_bound)
    # Theirs are other programs, which are compiled here once a theorem.
    for name in ("dense", "restricted") if kind == theorem else ():
        asked = model(left, evaluator=name)
        assert (asked.recognized == answer.recognized).all()
        whole = ALL[theorem].proof.error_bound(instance.spec)
        difference = answer_error(answer.vector, asked.vector.astype(float))
        assert difference <= whole + proof.error_bound(ALL[theorem].proof, instance.spec)


@pytest.mark.parametrize(("theorem", "kind"), CASES)
def test_the_map_is_the_superposition_of_the_tasks(theorem, kind):
    instance, prompt, model = subject(theorem, kind)
    spec, memory = instance.spec, model.remember(prompt)
    prevalence = verdict_of(instance, prompt).prevalence
    limit = proof.map_error_bound(ALL[theorem].proof, spec)
    assert memory.map.weight.shape == (spec.n - 1, spec.d, spec.r)
    for slot, weight in enumerate(memory.map.weight):
        mine = [
            share * task.weight
            for share, task in zip(prevalence, instance.tasks, strict=True)
            if task.slot == slot
        ]
        assert np.abs(weight - sum(mine, np.zeros_like(weight))).max() <= limit
    bias = prevalence @ np.stack([task.bias for task in instance.tasks])
    assert np.abs(memory.map.bias - bias).max() <= limit


@pytest.mark.parametrize("theorem", [1, 3])
def test_labels_of_a_task_leave_the_same_bits(theorem):
    """In a dense run, which knows of no representative."""
    _, prompt, model = subject(theorem, theorem)
    trace = model.trace(prompt, attention=False)
    layer, names = {1: ("commit", ("z", "ok", "count")), 3: ("recognize", ("w", "ok", "count"))}[
        theorem
    ]
    n = model.spec.n
    for task in set(trace.answer.recognized) - {-1}:
        labels = 1 + n * np.flatnonzero(trace.answer.recognized == task) + n - 1
        for name in names:
            held = trace.read(layer, name)[labels]
            assert (held == held[0]).all()


@pytest.mark.parametrize(("theorem", "layer"), [(1, "fetch"), (2, "pair"), (3, "tally")])
def test_where_the_decoding_layers_begin(theorem, layer):
    """At the first layer in which an example's tokens may see the query."""
    plan = prepare(subject(theorem, theorem)[2]).plan
    assert plan.layers[program.decoding(plan)].name == layer


def test_the_bound_of_the_merged_mean():
    """2 ceil(log2 K) + 2 roundings at most, of those that Lemma 7 charges for N' tokens."""
    K = np.arange(1, 1 << 16)
    halves = np.array([int(k - 1).bit_length() for k in K])
    for n in (2, 3, 8):
        charged = 2 * (np.floor(np.sqrt((K + 1) * n)) + 1)
        assert (2 * halves + 2 <= charged).all()


def test_a_multiplicity_that_is_lost_is_noticed(monkeypatch):
    """Representatives that count once each give another answer, beyond the bound."""
    instance, prompt, model = subject(1, 1)
    memory = model.remember(prompt)
    verdict = verdict_of(instance, prompt)
    assert holds(1, instance, memory.ask(prompt.query), verdict)
    monkeypatch.setattr(memory, "counts", np.minimum(memory.counts, 1))
    memory._changed()
    once = replace(memory.ask(prompt.query), counted=verdict.counts)
    assert not holds(1, instance, once, verdict)
    several = replace(memory.ask(prompt.query[None]), counted=verdict.counts)
    one = replace(several, vector=several.vector[0])
    assert not holds(1, instance, one, verdict, proof.map_error_bound)


def test_nothing_that_counts_is_no_evidence():
    _, prompt, model = subject(1, 1)
    memory = model.remember(prompt)
    memory.forget(np.flatnonzero(memory.recognized >= 0))
    assert len(memory) > 0
    answer = memory.ask(prompt.query)
    assert answer.message == "no evidence" and (answer.vector == 0).all()
    assert (memory.ask(prompt.query[None]).vector == 0).all()
    memory.forget(np.arange(len(memory)))
    assert len(memory) == 0 and memory.ask(prompt.query).message == "no evidence"
    memory.extend(prompt)
    assert (memory.recognized == model(prompt, evaluator="restricted").recognized).all()


def test_what_was_handed_out_stays():
    """Answers keep what they were, whatever the memory learns after them."""
    _, prompt, model = subject(1, 1)
    memory = model.remember(part_of(prompt, slice(0, 20)))
    before = memory.ask(prompt.query)
    kept = before.recognized.copy()
    memory.extend(part_of(prompt, slice(20, 40)))
    memory.forget([0, 3])
    assert (before.recognized == kept).all() and (
        before.counts == np.bincount(kept[kept >= 0], minlength=4)
    ).all()
    with pytest.raises(ValueError, match="read-only"):
        memory.recognized[0] = 1


def test_long_prompts_come_by_the_chunk(monkeypatch):
    _, prompt, model = subject(1, 1)
    whole = model.remember(prompt)
    monkeypatch.setattr(chunk, "CHUNK", 16)
    done = []
    memory = model.remember([(prompt.inputs, prompt.labels)], progress=done.append)
    assert done == [16, 32, 40] and (memory.recognized == whole.recognized).all()
    assert (memory.ask(prompt.query).vector == whole.ask(prompt.query).vector).all()


def test_the_query_beside_the_examples_runs_once(monkeypatch):
    """Whatever is added later, by a sketch or not, and after all is forgotten."""
    instance, prompt = drawn(1, 0, K=3, d=4, m=9, n=3)
    model, runs = model_of(1, instance), []
    start = chunk.start_query
    monkeypatch.setattr(
        chunk, "start_query", lambda *given, **how: runs.append(1) or start(*given, **how)
    )
    parts = [(prompt.inputs[at : at + 3], prompt.labels[at : at + 3]) for at in (0, 3, 6)]
    memory = model.remember([parts[0]])
    memory.extend([parts[1]])
    once = len(runs)
    memory.extend([parts[2]], screen=True)
    assert len(runs) == once > 0
    whole = model.remember(prompt)
    assert (memory.recognized == whole.recognized).all()
    assert (memory.ask(prompt.query).vector == whole.ask(prompt.query).vector).all()
    memory.forget(np.arange(9))
    memory.extend([parts[1]])
    assert (memory.recognized == whole.recognized[3:6]).all()


def test_functions_that_are_all_zero():
    tasks = [Task(slot=0, weight=np.zeros((2, 2)))]
    spec = Spec.of(tasks, m=60, n=3, margin=0.5, radius=2.0, input_radius=2.0)
    model = theorem1.build(spec, tasks)
    prompt = Prompt(np.ones((60, 2, 2)), np.zeros((60, 2)), np.ones((2, 2)))
    memory = model.remember(prompt)
    many = memory.ask(np.stack([prompt.query, prompt.query]))
    for answer in (model(prompt), model.stream(prompt, prompt.query), memory.ask(prompt.query)):
        assert (answer.vector == 0).all() and answer.counts.tolist() == [60]
    assert (many.vector == 0).all()


def test_short_floats_are_held_against_the_same_limits():
    """Half a percent of a half-precision norm is rounding; five percent is not."""
    rng = np.random.default_rng(0)
    tasks = [Task(slot=0, weight=sign * 0.5 * np.eye(64)) for sign in (1, -1)]
    spec = Spec.of(tasks, m=4, n=2, margin=0.5, radius=2.0, input_radius=2.0)
    model = theorem1.build(spec, tasks)
    x = rng.normal(size=(4, 1, 64))
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    y = 0.5 * x[:, 0]
    y[3] = 2.1 * np.roll(x[3, 0], 5)
    blocks = [(x.astype(np.float16), y.astype(np.float16))]
    for ask in (model.remember, lambda some: model.stream(some, x[0])):
        with pytest.raises(ValueError, match=r"labels\[3\] = a vector of norm 2.09986"):
            ask(blocks)


def test_a_mask_is_not_dropped():
    _, prompt, model = subject(1, 1)
    labels = np.ma.masked_array(prompt.labels, mask=prompt.labels > 0)
    for ask in (
        lambda: Prompt(prompt.inputs, labels, prompt.query),
        lambda: model.remember([(prompt.inputs, labels)]),
    ):
        with pytest.raises(ValueError, match="a masked array"):
            ask()


def test_a_memory_of_changed_weights_is_not_saved(tmp_path):
    instance, prompt, _ = subject(1, 1)
    model = theorem1.build(instance.spec, instance.tasks)
    memory = model.remember(prompt)
    weight = model.layer("superpose").banks[0].W_O
    weight[...] = 2 * weight[...]
    with pytest.raises(ValueError, match="weights were changed"):
        memory.save(tmp_path / "memory")
    with unchecked(), pytest.raises(ValueError, match="model = None"):
        Memory.load(tmp_path / "memory", None)


def test_a_memory_in_float64_that_is_asked_before_the_model():
    """What is kept of a model is in its dtype, whoever asks for it first."""
    instance, prompt = drawn(1, 2, **SHAPES[1], dtype="float64")
    model = ALL[1].build(instance.spec, instance.tasks, instance.feature_map)
    memory = model.remember(prompt)
    verdict = verdict_of(instance, prompt)
    assert proof.error_bound(ALL[1].proof, instance.spec) < 1e-12
    assert holds(1, instance, memory.ask(prompt.query), verdict)
    assert holds(1, instance, model(prompt, evaluator="restricted"), verdict)


def test_an_xla_without_the_options_answers_all_the_same(monkeypatch):
    _, prompt, model = subject(1, 1)
    memory = model.remember(prompt)
    answer = memory.ask(prompt.query)
    monkeypatch.setattr(recall, "ONE_BY_ONE", {"xla_cpu_no_such_option": True})
    recall._compiled.cache_clear()
    try:
        again = memory.ask(prompt.query)
    finally:
        recall._compiled.cache_clear()
    slack = 4 * np.finfo(np.float32).eps
    np.testing.assert_allclose(again.vector, answer.vector, atol=slack)


def test_an_example_that_is_refused_leaves_the_memory_as_it_was():
    _, prompt, model = subject(1, 1)
    memory = model.remember(part_of(prompt, slice(0, 30)))
    before = memory.ask(prompt.query).vector
    labels = prompt.labels[30:].copy()
    labels[0, 0] = 1e6
    with pytest.raises(ValueError, match=r"prompt.labels\[30\] = a vector of norm 1e\+06"):
        memory.extend([(prompt.inputs[30:], labels)])
    assert len(memory) == 30 and (memory.ask(prompt.query).vector == before).all()
    with pytest.raises(ValueError, match="more than 40 examples"):
        memory.extend([(prompt.inputs[:11], prompt.labels[:11])])
    memory.extend([])
    assert len(memory) == 30


SAVED = subject(1, 1)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda memory: memory.ask(np.zeros((2, 5))), r"query = an array of shape \(2, 5\)"),
        (lambda memory: memory.ask("x"), "query = an array of"),
        (lambda memory: memory.ask(np.full((2, 6), np.nan)), r"query\[0, 0\] = nan"),
        (lambda memory: memory.ask(np.full((2, 6), 1e6)), r"memory.query\[0\] = a vector of norm"),
        (lambda memory: memory.ask(np.zeros((3, 2, 5))), "queries = an array of shape"),
        (lambda memory: memory.ask(np.zeros((3, 2, 6), bool)), "query = an array of bool"),
        (
            lambda memory: memory.ask(np.full((3000, 2, 6), [[[0]], *[[[1e6]]]][1])),
            r"memory.queries\[0, 0\] = a vector of norm",
        ),
        (
            lambda memory: memory.ask(np.full((1, 2, 6), np.nan)),
            r"memory.queries\[0, 0, 0\] = nan: must be finite",
        ),
        (lambda memory: memory.forget([40]), "indices = 40"),
        (lambda memory: memory.forget([-1]), "indices = -1"),
        (lambda memory: memory.forget([3, 3]), "indices = a place twice"),
        (lambda memory: memory.forget([[1.5]]), "indices = an array of float64"),
        (lambda memory: memory.extend(3), "examples = a int"),
        (lambda memory: memory.model.remember([]), "examples = no examples"),
    ],
)
def test_bad_requests_are_refused_by_name(ask, message):
    with pytest.raises(ValueError, match=message):
        ask(SAVED[2].remember(SAVED[1]))


def test_a_query_whose_output_is_too_long_is_refused():
    """Alone and among many, where the norms of the blocks do not rule it out."""
    from construct import Spec, build

    tasks = [
        Task(slot=0, weight=np.diag([0.9, 0.1]), bias=[0.6, 0]),
        Task(slot=0, weight=np.diag([0.1, 0.1]), bias=[0, 0.9]),
    ]
    model = build(Spec.of(tasks, m=8, n=2, margin=0.5, radius=1.0), tasks)
    inputs = np.tile([[-1.0, 0.0]], (8, 1))
    memory = model.remember([(inputs[:, None], inputs @ tasks[0].weight.T + tasks[0].bias)])
    fine = np.stack([inputs[:1]] * 3)
    assert memory.ask(fine).vector.shape == (3, 2)
    with pytest.raises(ValueError, match=r"memory query, slot 0.*output of norm 1\.5"):
        memory.ask(-inputs[:1])
    with pytest.raises(ValueError, match=r"memory.queries\[2\] query, slot 0.*norm 1\.5"):
        memory.ask(np.concatenate([fine[:2], -fine[:1]]))


def test_weights_that_were_changed_have_no_memory():
    """Execute's W_V moves the label a little: one label no longer stands for another."""
    instance, prompt, _ = subject(1, 1)
    model = ALL[1].build(instance.spec, instance.tasks)
    memory = model.remember(prompt)
    bank = model.layer("execute").banks[0]
    bank.W_V[...] = bank.W_V[...] * 0.9
    for ask in (
        lambda: memory.ask(prompt.query),
        lambda: memory.map,
        lambda: memory.extend(prompt),
        lambda: model.remember(prompt),
    ):
        with pytest.raises(ValueError, match="a model whose weights were changed"):
            ask()
    leaky = ALL[1].build(replace(instance.spec, coldness=30.0), instance.tasks)
    with pytest.raises(ValueError, match="needs weights with a certificate"):
        leaky.remember(prompt)


def test_a_memory_in_a_file(tmp_path):
    _, prompt, model = subject(1, 1)
    memory, path = model.remember(prompt), tmp_path / "prompt.safetensors"
    memory.save(path)
    loaded = Memory.load(path, model)
    assert (loaded.recognized == memory.recognized).all()
    assert (loaded.ask(prompt.query).vector == memory.ask(prompt.query).vector).all()
    loaded.forget([0])
    assert len(loaded) == len(memory) - 1
    other, _ = drawn(1, 3, **SHAPES[1])
    with pytest.raises(ValueError, match="with other weights"):
        Memory.load(path, model_of(1, other))
    with pytest.raises(ValueError, match="holds no model"):
        type(model).load(path)
    model.save(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="holds no memory"):
        Memory.load(tmp_path / "model.safetensors", model)
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.raises(ValueError, match="damaged"):
        Memory.load(path, model)


def test_the_features_of_the_query_are_bounded_beside_its_flag():
    """Theorem 2 with ReLU features: the restricted evaluator once read a query's outputs without
    its features."""
    instance, prompt, model = subject(2, "carried")
    restricted, verdict = model(prompt, evaluator="restricted"), verdict_of(instance, prompt)
    assert (restricted.recognized == verdict.recognized).all()
    ready = prepare(model)
    query = prompt.query.astype(np.float32)
    _, norms = chunk.start_query(
        ready.plan, ready.norms, ready.limits, query, variant=ready.variant
    )
    phi = np.maximum(prompt.query @ instance.feature_map.weight.T + instance.feature_map.bias, 0)
    outputs = np.stack([phi @ task.weight.T + task.bias for task in instance.tasks])
    assert (np.asarray(norms)[..., 0] >= np.linalg.norm(outputs, axis=-1) * (1 - 1e-5)).all()
