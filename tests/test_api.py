"""The API that researchers expect: pure functions, places and hooks, heads, saving, enforcement."""

import copy
import dataclasses
import gc
import pickle
import subprocess
import sys
import warnings

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from construct import Prompt, Spec, Task, Transformer, build, saved, theorem2, theorem3
from construct.evaluate.places import ATTENTION
from construct.layers import Support
from proofs import theorem1 as proof
from tests.evaluate.cases import drawn, model_of
from tests.properties.padded import unchecked
from tests.theorem1.cases import RANDOM, SUMS
from verify.draw import draw_prompt

MODEL, PROMPT = RANDOM.model, RANDOM.prompts[-1]
BOUND = 2 * proof.error_bound(RANDOM.spec)
BUILDS = {1: build, 2: theorem2.build, 3: theorem3.build}


def read(model, out):
    """The answer in a stream after the last layer."""
    return model.residual.read(out[..., -1, :], "y")


def arrays(prompt):
    return tuple(np.asarray(a, np.float32) for a in (prompt.inputs, prompt.labels, prompt.query))


def count_compiles(call):
    """How many programs a call compiles."""
    found = []

    def listen(event, duration, **more):
        if event == "/jax/core/compile/backend_compile_duration":
            found.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        call()
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    return len(found)


# Pure functions.


@pytest.mark.parametrize("theorem", [1, 2, 3])
def test_forward_is_the_call(theorem):
    instance, prompt = drawn(theorem, 0, K=3, d=5, m=8, n=3)
    model = model_of(theorem, instance)
    out = jax.jit(lambda *a: read(model, model.forward(*model.embed(*a))))(*arrays(prompt))
    assert np.abs(out - model(prompt).vector).max() <= 1e-5


@pytest.mark.slow
def test_embed_and_forward_take_leading_axes_and_vmap():
    x, y, q = arrays(PROMPT)
    batch = tuple(np.stack([[a, a], [a, a], [a, a]]) for a in (x, y, q))
    stream, real = MODEL.embed(*batch)
    assert stream.shape == (3, 2, PROMPT.tokens, MODEL.residual.dim)
    assert real.shape == (3, 2, PROMPT.tokens) and bool(real.all())
    together = read(MODEL, MODEL.forward(stream, real))
    one = read(MODEL, MODEL.forward(*MODEL.embed(x, y, q)))
    assert np.abs(together - one).max() <= BOUND
    mapped = jax.vmap(lambda *a: read(MODEL, MODEL.forward(*MODEL.embed(*a))))(
        *(a[:, 0] for a in batch)
    )
    assert np.abs(mapped - one).max() <= BOUND


@pytest.mark.slow
def test_gradients_flow_to_the_query():
    x, y, q = arrays(PROMPT)

    def total(query):
        return read(MODEL, MODEL.forward(*MODEL.embed(x, y, query))).sum()

    slope = jax.grad(total)(q)
    # The answer is affine in the query: its gradient is the mean of the tasks' rows.
    counts = MODEL(PROMPT).prevalence
    for slot in range(len(q)):
        expected = sum(
            counts[i] * task.weight.sum(0)
            for i, task in enumerate(RANDOM.tasks)
            if task.slot == slot
        )
        assert np.abs(slope[slot] - expected).max() <= 1e-4


def test_nnx_jit_takes_the_model():
    x, y, q = arrays(PROMPT)
    ask = nnx.jit(lambda model, *a: read(model, model.forward(*model.embed(*a))))
    assert np.abs(ask(MODEL, x, y, q) - MODEL(PROMPT).vector).max() <= BOUND


def test_a_float64_model_is_never_float32_in_silence():
    instance, prompt = drawn(1, 0, K=2, d=3, m=4, n=2, dtype="float64")
    model = model_of(1, instance)
    with pytest.raises(ValueError, match="64-bit types, which are off"):
        jax.jit(lambda *a: model.embed(*a))(*arrays(prompt))
    with jax.enable_x64(True):
        out = read(model, model.forward(*model.embed(prompt.inputs, prompt.labels, prompt.query)))
        assert out.dtype == np.float64
        assert np.abs(out - model(prompt).vector).max() <= 1e-12


@pytest.mark.slow
def test_weights_with_noise_are_trained_back():
    """1% noise on Execute's values; Adam on the answers brings the error back down."""
    instance, _ = drawn(1, 0, K=2, d=3, m=4, n=2)
    rng = np.random.default_rng(0)
    prompts = [draw_prompt(rng, instance) for _ in range(16)]
    x, y, q = (np.stack(part) for part in zip(*map(arrays, prompts), strict=True))
    model = build(instance.spec, instance.tasks)
    right = np.stack([model(prompt).vector for prompt in prompts])
    graph, _ = nnx.split(model)
    value = model.layer("execute").banks[0].W_V
    value[...] = value[...] * (1 + 0.01 * rng.normal(size=value.shape))
    noisy = nnx.state(model)

    def loss(state):
        model = nnx.merge(graph, state)
        return ((read(model, model.forward(*model.embed(x, y, q))) - right) ** 2).mean()

    # Only the noisy matrix is trained: the others' gains are no parameters to walk in.
    labels = jax.tree_util.tree_map_with_path(
        lambda path, _: "train" if _path(path) == ("layers", 5, "banks", 0, "W_V") else "keep",
        noisy,
    )
    optimizer = optax.multi_transform(
        {"train": optax.adam(1e-3), "keep": optax.set_to_zero()}, labels
    )

    @jax.jit
    def step(state, memory):
        found, slope = jax.value_and_grad(loss)(state)
        updates, memory = optimizer.update(slope, memory, state)
        return optax.apply_updates(state, updates), memory, found

    memory, first = optimizer.init(noisy), float(loss(noisy))
    for _ in range(60):
        noisy, memory, last = step(noisy, memory)
    assert first > 1e-6
    assert float(last) < first / 20


def _path(path):
    keys = [getattr(key, "key", getattr(key, "idx", getattr(key, "name", None))) for key in path]
    return tuple(key for key in keys if key not in (None, "value", "raw_value"))


# Places.


def test_every_place_can_be_read_and_shows_what_a_trace_shows():
    seen = {}
    hooks = {
        place: lambda value, place=place: seen.update({place: np.array(value)})
        for place in MODEL.places()
    }
    short = RANDOM.prompts[0]
    short = Prompt(short.inputs[:3], short.labels[:3], short.query)
    answer = MODEL([short, PROMPT], hooks=[hooks, None])[0]
    assert list(seen) == list(MODEL.places())
    trace = MODEL.trace(short)
    assert np.abs(answer.vector - trace.answer.vector).max() <= BOUND
    K, N, D = MODEL.spec.K, short.tokens, MODEL.residual.dim
    assert np.abs(seen["embed"] - trace.streams["embed"]).max() == 0
    for layer in (layer.name for layer in MODEL.layers):
        assert np.abs(seen[f"{layer}.resid_post"] - trace.streams[layer]).max() <= BOUND
        assert np.abs(seen[f"{layer}.resid_mid"] - trace.middles[layer]).max() <= BOUND
        assert np.abs(seen[f"{layer}.attn.pattern"] - trace.attention[layer]).max() <= 1e-6
        assert seen[f"{layer}.attn.scores"].shape == (K, N, N)
        assert seen[f"{layer}.attn.result"].shape == (K, N, D)
        assert np.abs(seen[f"{layer}.attn.result"] - trace.heads(layer)).max() <= BOUND
        for side in ("q", "k", "v"):
            assert seen[f"{layer}.attn.{side}"].shape[:2] == (K, N)


@pytest.mark.parametrize("place", [f"execute.{place}" for place in ATTENTION])
def test_a_place_replaced_by_itself_changes_nothing_and_by_zeros_something(place):
    before = MODEL(PROMPT).vector
    same = MODEL(PROMPT, hooks={place: lambda value: np.array(value)}).vector
    assert np.abs(same - before).max() <= BOUND
    changed = MODEL(PROMPT, hooks={place: lambda value: 0 * value.clip(-1, 1)}).vector
    assert np.abs(changed - before).max() > 1e-3


def test_ablating_a_head_takes_its_attribution_away():
    trace = MODEL.trace(PROMPT)
    by_head = trace.attribution()["superpose"]
    assert np.abs(by_head.sum(0) - trace.answer.vector).max() <= BOUND
    ablated = MODEL(PROMPT, hooks={"superpose.attn.result": lambda r: r.at[0].set(0)}).vector
    assert np.abs(ablated - (trace.answer.vector - by_head[0])).max() <= BOUND


@pytest.mark.parametrize("case", [RANDOM, SUMS], ids=["random", "sums"])
def test_heads_sum_to_what_the_attention_added(case):
    trace = case.model.trace(case.prompts[-1])
    before = dict(zip(trace.gaps, trace.streams, strict=False))
    for layer in trace.gaps:
        added = trace.middles[layer] - trace.streams[before[layer]]
        scale = np.abs(trace.heads(layer)).sum(0).max() + np.abs(trace.middles[layer]).max()
        assert np.abs(trace.heads(layer).sum(0) - added).max() <= 32 * 2**-24 * scale


def test_hooks_run_in_the_batch_and_a_new_function_compiles_nothing():
    prompts = [Prompt(PROMPT.inputs[:j], PROMPT.labels[:j], PROMPT.query) for j in range(17, 33)]
    MODEL(prompts, hooks={("commit", "z"): lambda z: np.asarray(z)})
    assert count_compiles(lambda: MODEL(prompts, hooks={("commit", "z"): lambda z: None})) == 0
    assert (
        count_compiles(lambda: MODEL(prompts[:9], hooks={"commit": lambda z: np.asarray(z) + 0}))
        == 0
    )
    seen = []
    MODEL(prompts, hooks={("commit", "z"): lambda z: seen.append(z.shape)})
    assert seen == [(prompt.tokens, 2) for prompt in prompts]


def test_hooks_of_a_forward_trace_under_jit():
    x, y, q = arrays(PROMPT)

    def answer(scale):
        hooks = {("execute", "y"): lambda y: scale * y, "fetch.attn.pattern": lambda p: p}
        return read(MODEL, MODEL.forward(*MODEL.embed(x, y, q), hooks=hooks))

    doubled = jax.jit(answer)(2.0)
    assert np.abs(doubled - 2 * MODEL(PROMPT).vector).max() <= 4 * BOUND


REFUSED = {
    "not a function": ({("commit", "z"): 3}, "must be a function"),
    "not a layer": ({("nope", "z"): abs}, "must name a layer"),
    "not a place": ({"commit.attn.nope": abs}, "place of model.places"),
    "not a subspace": ({("commit", "nope"): abs}, "must be a subspace"),
    "a subspace of scores": ({("commit.attn.scores", "z"): abs}, "only the stream has subspaces"),
    "not a key": ({3: abs}, "a place or a pair"),
    "a long key": ({("commit", "z", "y"): abs}, "a place or a pair"),
    "shape": ({("commit", "z"): lambda z: z[:1]}, "must have shape"),
    "complex": ({("commit", "z"): lambda z: z * 1j}, "must return real numbers"),
    "text": ({("commit", "z"): lambda z: "z"}, "must return real numbers"),
    "object": ({("commit", "z"): lambda z: object()}, "must return real numbers"),
    "NaN": ({("commit", "z"): lambda z: z * np.nan}, "NaN at"),
    "NaN in a pattern": ({"commit.attn.pattern": lambda p: p * np.nan}, "NaN at"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_hook_is_refused_by_name(name):
    hooks, match = REFUSED[name]
    with pytest.raises(ValueError, match=match):
        MODEL(PROMPT, hooks=hooks)


def test_hooks_by_prompt_must_be_as_many():
    with pytest.raises(ValueError, match="one for each of 1 prompts"):
        MODEL([PROMPT], hooks=[None, None])


def test_weights_that_are_not_numbers_decide_nothing():
    model = nnx.clone(MODEL)
    model.layer("recognize").banks[0].W_V[...] *= np.nan
    answer = model(PROMPT, enforce=False)
    assert (answer.recognized == -1).all()


# Enforcement.


def undecided():
    """The prompt with its first label halfway between tolerance and margin."""
    labels, spec = PROMPT.labels.copy(), RANDOM.spec
    task = RANDOM.tasks[MODEL(PROMPT).recognized[0]]
    output = task.weight @ PROMPT.inputs[0, task.slot] + task.bias
    inward = -output / np.linalg.norm(output)
    labels[0] = output + (spec.tolerance + spec.margin) / 2 * inward
    return Prompt(PROMPT.inputs, labels, PROMPT.query)


def test_a_call_can_be_told_not_to_enforce():
    wrong = undecided()
    with pytest.raises(ValueError, match="residual"):
        MODEL(wrong)
    answer = MODEL(wrong, enforce=False)
    assert np.abs(answer.vector - MODEL.trace(wrong, enforce=False).answer.vector).max() <= BOUND
    with pytest.raises(ValueError, match="dense evaluator"):
        MODEL(wrong, enforce=False, evaluator="restricted")


def test_a_message_tells_changed_weights_from_a_bad_prompt():
    model = nnx.clone(MODEL)
    bank = model.layer("recognize").banks[0]
    bank.W_K[...] = 1.3 * bank.W_K[...]
    with pytest.raises(ValueError, match="weights are not those that were built"):
        model(PROMPT)
    with pytest.raises(ValueError, match="residual") as caught:
        MODEL(undecided())
    assert "built" not in str(caught.value)


def test_a_model_that_jit_hands_back_is_as_built_and_an_edited_one_is_not():
    model = build(MODEL.spec, RANDOM.tasks)

    @nnx.jit
    def scale(one, factor):
        bank = one.layer("pair").banks[0]
        bank.W_V[...] = factor * bank.W_V[...]

    before = model.layer("pair").banks[0].W_V.get_raw_value()
    scale(model, 1.0)
    assert model.layer("pair").banks[0].W_V.get_raw_value() is not before and model.as_built
    scale(model, 2.0)
    assert not model.as_built


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "clone": nnx.clone,
    "merge": lambda model: nnx.merge(*nnx.split(model)),
}


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_is_as_built_until_it_is_edited(way):
    model = COPIES[way](build(MODEL.spec, RANDOM.tasks))
    assert model.as_built
    assert np.abs(model.remember(PROMPT).ask(PROMPT.query).vector - model(PROMPT).vector).max() < 1
    weight = model.layer("superpose").banks[0].W_O
    weight[...] = 2 * weight[...]
    assert not model.as_built
    with pytest.raises(ValueError, match="weights were changed"):
        model.remember(PROMPT)


@pytest.mark.parametrize(("way", "scale"), [("copy", 0.7), ("deepcopy", 0.8), ("pickle", 0.9)])
def test_a_copy_outlives_its_model(way, scale):
    # No other model has these weights, of which this might be taken for a copy.
    tasks = [dataclasses.replace(task, weight=scale * task.weight) for task in RANDOM.tasks]
    model = COPIES[way](build(MODEL.spec, tasks))
    gc.collect()
    assert model.as_built


def test_a_mask_and_a_support_count_like_weights():
    """What was made of the layers before is not used after such an edit."""
    model = build(MODEL.spec, RANDOM.tasks)
    memory = model.remember(PROMPT)
    before = model(PROMPT, evaluator="restricted").vector
    model.layer("pair").causal = True
    assert not model.as_built
    with pytest.raises(ValueError, match="weights were changed"):
        memory.ask(PROMPT.query)
    edited = model(PROMPT, enforce=False).vector
    with pytest.raises(ValueError, match="not those that were built"):
        model(PROMPT, evaluator="restricted")
    assert np.abs(edited - before).max() > 10 * BOUND
    model.layer("pair").causal = False
    assert model.as_built and np.abs(memory.ask(PROMPT.query).vector - before).max() <= BOUND
    model.layer("pair").support = Support.SELF
    with pytest.raises(ValueError, match="certificate"):
        model(PROMPT, evaluator="restricted")


def test_numpy_weights_that_are_changed_in_place_are_noticed():
    model = build(MODEL.spec, RANDOM.tasks)
    _, state = nnx.split(model)
    nnx.update(model, jax.tree.map(np.array, state))
    assert model.as_built
    memory = model.remember(PROMPT)
    held = model.layer("superpose").banks[0].W_O.get_raw_value()
    held *= 2
    assert not model.as_built
    with pytest.raises(ValueError, match="weights were changed"):
        memory.ask(PROMPT.query)


def test_weights_in_shorter_floats_are_refused():
    model = build(MODEL.spec, RANDOM.tasks)
    _, state = nnx.split(model)
    nnx.update(model, jax.tree.map(lambda one: one.astype("bfloat16"), state))
    for ask in (model, model.trace, lambda prompt: model(prompt, evaluator="restricted")):
        with pytest.raises(ValueError, match="weights of bfloat16"):
            ask(PROMPT)
    assert np.isfinite(model(PROMPT, enforce=False).vector).all()


def test_an_mlp_in_shorter_floats_is_refused():
    model = build(MODEL.spec, RANDOM.tasks)
    mlp = model.layer("commit").mlp
    nnx.update(mlp, jax.tree.map(lambda one: one.astype("bfloat16"), nnx.state(mlp)))
    for ask in (model, model.trace):
        with pytest.raises(ValueError, match="weights of bfloat16"):
            ask(PROMPT)


def test_a_layer_that_is_read_and_gone_is_named():
    model = build(MODEL.spec, RANDOM.tasks)
    model.layers = nnx.List([layer for layer in model.layers if layer.name != "commit"])
    for ask in (model, model.trace):
        with pytest.raises(ValueError, match="'commit': must name a layer"):
            ask(PROMPT)


def test_a_trace_with_hooks_runs_on_the_layers_that_are_left():
    model = build(MODEL.spec, RANDOM.tasks)
    model.layers = nnx.List(list(model.layers)[1:])
    trace = model.trace(PROMPT, hooks={"embed": lambda stream: None})
    assert np.abs(trace.answer.vector - MODEL(PROMPT).vector).max() <= BOUND


@pytest.mark.parametrize(
    "change",
    [
        lambda x, y, q: (np.resize(x, (MODEL.spec.m + 1, *x.shape[1:])), y, q),
        lambda x, y, q: (x[:0], y[:0], q),
        lambda x, y, q: (x[..., :-1], y, q),
        lambda x, y, q: (np.repeat(x, 2, 1), y, np.repeat(q, 2, 0)),
        lambda x, y, q: (x, y[:-1], q),
        lambda x, y, q: (x, y, q[:, :-1]),
        lambda x, y, q: (x[:, 0, 0], y, q),
    ],
)
def test_embed_refuses_what_is_no_prompt_of_its_spec(change):
    with unchecked(), pytest.raises(ValueError, match=r"examples in an array|last axes"):
        MODEL.embed(*change(*arrays(PROMPT)))


@pytest.mark.parametrize("hooks", [5, abs, np.ones(3), "commit", iter([])])
def test_hooks_that_are_no_mapping_are_refused(hooks):
    for ask in (MODEL, MODEL.trace):
        with unchecked(), pytest.raises(ValueError, match="must be a mapping"):
            ask(PROMPT, hooks=hooks)


@pytest.mark.parametrize(
    "ask",
    [
        lambda query: MODEL(Prompt(PROMPT.inputs, PROMPT.labels, query)).vector,
        lambda query: MODEL.stream(PROMPT, query).vector,
    ],
)
def test_a_checked_call_under_jit_names_the_way_out(ask):
    with pytest.raises(ValueError, match=r"model\.embed"):
        jax.jit(ask)(PROMPT.query)
    with pytest.raises(ValueError, match=r"model\.embed"):
        nnx.jit(lambda model: model(PROMPT).vector)(MODEL)


def test_a_stream_takes_a_prompt_and_names_what_it_cannot_take():
    streamed = MODEL.stream(PROMPT, PROMPT.query).vector
    assert np.abs(streamed - MODEL(PROMPT).vector).max() <= BOUND
    for blocks in (5, None):
        with unchecked(), pytest.raises(ValueError, match="must be a Prompt or blocks"):
            MODEL.stream(blocks, PROMPT.query)
    with unchecked(), pytest.raises(ValueError, match="progress = 5"):
        MODEL.stream(PROMPT, PROMPT.query, progress=5)


def test_a_spec_under_which_nothing_can_be_recognized_is_refused():
    tasks = [Task(slot=0, weight=np.eye(2)), Task(slot=0, weight=-np.eye(2))]
    with pytest.raises(ValueError, match="at most 2 radius"):
        Spec.of(tasks, m=4, n=2, margin=100, radius=4)
    with pytest.raises(ValueError, match="dtype = None"):
        Spec.of(tasks, m=4, n=2, margin=1, radius=4, dtype=None)


def test_treescope_shows_models_and_traces():
    treescope = pytest.importorskip("treescope")
    with warnings.catch_warnings():
        # Its summary of an empty array, and the names of NumPy's that it asks for.
        warnings.simplefilter("ignore", RuntimeWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        shown = treescope.render_to_text(MODEL) + treescope.render_to_html(MODEL.trace(PROMPT))
    assert "name='recognize'" in shown and "subspaces" in shown


# Saving.

LOAD = """
import sys, numpy as np
from construct import Prompt, Transformer
model = Transformer.load(sys.argv[1])
data = np.load(sys.argv[2])
prompt = Prompt(data["x"], data["y"], data["q"])
np.savez(sys.argv[3], dense=model(prompt, evaluator="dense").vector,
         restricted=model(prompt, evaluator="restricted").vector,
         recognized=model(prompt).recognized)
"""


@pytest.mark.slow
@pytest.mark.parametrize("theorem", [1, 2, 3])
def test_a_model_loads_in_a_fresh_process_with_the_same_bits(tmp_path, theorem):
    instance, prompt = drawn(theorem, 0, K=3, d=5, m=8, n=3)
    model = model_of(theorem, instance)
    model.save(tmp_path / "model.safetensors")
    np.savez(tmp_path / "prompt.npz", x=prompt.inputs, y=prompt.labels, q=prompt.query)
    files = ("model.safetensors", "prompt.npz", "out.npz")
    command = [sys.executable, "-c", LOAD, *(str(tmp_path / file) for file in files)]
    subprocess.run(command, check=True)
    found = np.load(tmp_path / "out.npz")
    assert (found["dense"] == model(prompt, evaluator="dense").vector).all()
    assert (found["restricted"] == model(prompt, evaluator="restricted").vector).all()
    assert (found["recognized"] == model(prompt).recognized).all()


def test_loaded_edited_weights_say_so(tmp_path):
    model = nnx.clone(MODEL)
    model.layer("pair").banks[0].W_V[...] *= 2
    model.save(tmp_path / "edited")
    loaded = Transformer.load(tmp_path / "edited")
    assert not loaded.as_built
    assert (loaded(PROMPT, enforce=False).vector == model(PROMPT, enforce=False).vector).all()
    MODEL.save(tmp_path / "whole")
    assert Transformer.load(tmp_path / "whole").as_built


def _damage(path, how):
    data = bytearray(path.read_bytes())
    if how == "truncated":
        data = data[: len(data) // 2]
    elif how == "flipped":
        data[-3] ^= 1
    elif how == "empty":
        data = bytearray()
    elif how == "text":
        data = bytearray(b"hello")
    elif how == "newer":
        data = data.replace(b'\\"version\\": 1', b'\\"version\\": 9', 1)
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("how", ["truncated", "flipped", "empty", "text", "newer"])
def test_damaged_files_are_refused_by_name(tmp_path, how):
    path = tmp_path / "model.safetensors"
    MODEL.save(path)
    _damage(path, how)
    with pytest.raises(ValueError, match="path = "):
        Transformer.load(path)


def test_foreign_missing_and_newer_files_are_refused_by_name(tmp_path, monkeypatch):
    from safetensors.numpy import save_file

    save_file({"a": np.ones(3)}, str(tmp_path / "foreign"))
    with pytest.raises(ValueError, match="holds no model"):
        Transformer.load(tmp_path / "foreign")
    with pytest.raises(ValueError, match="no whole safetensors"):
        Transformer.load(tmp_path / "missing")
    with pytest.raises(ValueError, match="cannot be written"):
        MODEL.save(tmp_path / "no" / "folder")
    newer = dataclasses.replace(MODEL.readout, theorem=99)
    unknown = nnx.clone(MODEL)
    unknown.readout = newer
    unknown.save(tmp_path / "unknown")
    with pytest.raises(ValueError, match="is of Theorem 99"):
        Transformer.load(tmp_path / "unknown")
    monkeypatch.setattr("construct.saved.VERSION", 2)
    MODEL.save(tmp_path / "newer")
    monkeypatch.setattr("construct.saved.VERSION", 1)
    with pytest.raises(ValueError, match="of version 2"):
        Transformer.load(tmp_path / "newer")


@pytest.mark.parametrize(
    "change",
    [
        lambda header: [header],
        lambda header: {key: value for key, value in header.items() if key != "spec"},
        lambda header: header | {"version": "x"},
        lambda header: header | {"layers": []},
        lambda header: header | {"slots": [9] * len(header["slots"])},
        lambda header: header | {"slots": header["slots"][:-1]},
        lambda header: header | {"spec": header["spec"] | {"dtype": "float64"}},
        lambda header: header | {"spec": header["spec"] | {"K": header["spec"]["K"] - 1}},
    ],
)
def test_a_header_that_does_not_fit_its_file_is_refused(tmp_path, monkeypatch, change):
    """Also with a checksum that fits."""
    dumps = saved.json.dumps
    monkeypatch.setattr(saved.json, "dumps", lambda header, **how: dumps(change(header), **how))
    MODEL.save(tmp_path / "changed")
    with pytest.raises(ValueError, match="does not hold together"):
        Transformer.load(tmp_path / "changed")


def test_what_is_no_path_is_refused():
    for ask in (MODEL.save, Transformer.load):
        with unchecked(), pytest.raises(ValueError, match="path = 5: must be a file's path"):
            ask(5)


def test_pickle_keeps_the_answer():
    model = pickle.loads(pickle.dumps(MODEL))
    assert (model(PROMPT).vector == MODEL(PROMPT).vector).all()


def test_what_is_printed_can_be_read():
    text = repr(MODEL)
    assert str(MODEL) == text
    assert "Theorem 1" in text and "recognize" in text and len(text.splitlines()) == 3
    trace = repr(MODEL.trace(PROMPT))
    assert "examples count" in trace and "superpose" in trace and len(trace) < 400
