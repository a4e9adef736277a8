"""In TransformerLens: what runs there is what the project's own trace says, for every theorem, on
vectors and on token ids."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformer_lens")

from safetensors.torch import load_file  # noqa: E402
from transformer_lens.config import TransformerBridgeConfig  # noqa: E402
from transformer_lens.model_bridge.sources.native import boot  # noqa: E402
from transformer_lens.utilities.tl_checkpoint_conversion import (  # noqa: E402
    convert_tl_checkpoint,
)

from construct.export import Vocabulary, load_exported  # noqa: E402
from proofs.export.logits import probability_error  # noqa: E402
from verify.prompt import superposition  # noqa: E402

# Streams are sums of as many products in another order: some roundings of numbers up to this size.
ROUNDINGS, UNIT = 16, 2.0**-24
VECTORS = [
    "--theorem 1 --random --K 3 --d 8 --m 6",
    "--theorem 2 --random --K 3 --d 8 --m 6",
    "--theorem 3 --random --K 3 --d 8 --m 6",
]
WORDS = [f"--theorem {number} --tasks verbs" for number in (1, 2, 3)]


def bridge_of(folder, dtype=torch.float32, **more):
    told = json.loads((folder.path / "config.json").read_text()) | more
    config = TransformerBridgeConfig.from_dict(told)
    bridge = boot(config, dtype=dtype)
    tensors = load_file(folder.path / "model.safetensors")
    bridge.load_state_dict(convert_tl_checkpoint(tensors, config))
    return bridge.eval()


def run(bridge, folder, prompt, *places):
    """What is at these places of every layer, by (place, layer), and the output."""
    found = {}

    def keep(key):
        def store(value, hook):
            found[key] = value.detach().numpy()[0]

        return store

    hooks = [
        (folder.checkpoint.named(place, layer.name), keep((place, layer.name)))
        for place in places
        for layer in folder.model.layers
    ]
    stream = torch.tensor(folder.checkpoint.embeds(prompt))[None]
    with torch.no_grad():
        output = bridge.run_with_hooks(stream, start_at_layer=0, fwd_hooks=hooks)
    return found, output[0].numpy()


def tolerance(folder, stream: np.ndarray) -> float:
    """How far two computations of a stream may be apart: Theorem 3 amplifies its roundings, and its
    lemmas bound them."""
    roundings = ROUNDINGS * UNIT * max(1.0, float(np.abs(stream).max()))
    theorem, spec = folder.request.theorem, folder.model.spec
    return roundings if theorem.number < 3 else max(roundings, 2 * theorem.proof.rounding(spec))


@pytest.fixture(scope="module", params=VECTORS, ids=["theorem1", "theorem2", "theorem3"])
def vectors(request, export):
    folder = export(f"{request.param} --to transformerlens")
    return folder, bridge_of(folder)


def test_patterns_and_streams_are_those_of_the_trace(vectors):
    folder, bridge = vectors
    places = ("attn.pattern", "resid_post")
    for prompt in folder.prompts(3):
        trace = folder.model.trace(prompt)
        found, output = run(bridge, folder, prompt, *places)
        for layer in folder.model.layers:
            pattern, own = found["attn.pattern", layer.name], trace.attention[layer.name]
            np.testing.assert_allclose(pattern, own, rtol=0, atol=4 * UNIT)
            stream = trace.streams[layer.name]
            np.testing.assert_allclose(
                found["resid_post", layer.name], stream, rtol=0, atol=tolerance(folder, stream)
            )
            if not layer.many_heads:  # Theorem 3's gates are half open; all other heads are hard
                np.testing.assert_array_equal(pattern > 0, own > 0)
        atol = tolerance(folder, stream)
        np.testing.assert_allclose(output[-1], trace.answer.vector, rtol=0, atol=atol)


def test_ablating_a_head_is_a_hook_of_the_project(vectors):
    folder, bridge = vectors
    prompt = folder.prompts(1)[0]
    stream = torch.tensor(folder.checkpoint.embeds(prompt))[None]
    key = json.loads((folder.path / "truth.json").read_text())
    for layer in key["layers"]:
        for head in layer["heads"][:2]:
            index = head["head"]

            def silence(z, hook, index=index):
                z[:, :, index] = 0
                return z

            with torch.no_grad():
                got = bridge.run_with_hooks(
                    stream, start_at_layer=0, fwd_hooks=[(layer["places"]["attn.z"], silence)]
                )
            name = f"{layer['name']}.attn.result"
            own = folder.model(
                prompt,
                hooks={
                    name: lambda r, index=index: np.where(
                        np.arange(len(r))[:, None, None] == index, 0, r
                    )
                },
            )
            np.testing.assert_allclose(got[0, -1].numpy(), own.vector, rtol=0, atol=1e-5)


def test_patching_the_task_vector_moves_the_answer(export):
    folder = export(f"{VECTORS[2]} --to transformerlens")
    bridge, (one, other) = bridge_of(folder), folder.prompts(2)
    where = folder.model.residual.where("w")
    vector = folder.model.trace(other).task_vector
    place = folder.checkpoint.named("resid_post", "tally")

    def patch(stream, hook):
        stream[:, -1, where] = torch.tensor(np.asarray(vector))
        return stream

    with torch.no_grad():
        stream = torch.tensor(folder.checkpoint.embeds(one))[None]
        got = bridge.run_with_hooks(stream, start_at_layer=0, fwd_hooks=[(place, patch)])
    own = folder.model(one, hooks={("tally", "w"): lambda w: w.at[-1].set(vector)})
    np.testing.assert_allclose(got[0, -1].numpy(), own.vector, rtol=0, atol=2e-6)
    assert np.abs(own.vector - folder.model(one).vector).max() > 1e-2


def test_direct_attribution_is_that_of_the_trace(vectors):
    folder, bridge = vectors
    prompt = folder.prompts(1)[0]
    found, _ = run(bridge, folder, prompt, "attn.z")
    for i, (layer, own) in enumerate(folder.model.trace(prompt).attribution().items()):
        z = torch.tensor(found["attn.z", layer][-1]).reshape(folder.model.spec.K, -1)
        with torch.no_grad():
            direct = torch.einsum("hd,hdm,mv->hv", z, bridge.blocks[i].attn.W_O, bridge.W_U)
        np.testing.assert_allclose(direct.numpy(), own, rtol=0, atol=tolerance(folder, own))


def test_the_attention_scale_that_is_ignored_in_silence(export):
    # 4.x divides by sqrt(d_head) even where it is told not to; d_head = 4^k and W_Q times its root
    # undo that. Without the factor answers look right too, at a coldness of T/sqrt(d_head).
    folder = export(f"{VECTORS[0]} --to transformerlens")
    told = bridge_of(folder, use_attn_scale=False)
    prompt = folder.prompts(1)[0]
    trace = folder.model.trace(prompt)
    found, output = run(told, folder, prompt, "attn.q", "attn.k", "attn.pattern")
    np.testing.assert_allclose(output[-1], trace.answer.vector, rtol=0, atol=2e-6)
    size = folder.checkpoint.config["d_head"]
    assert size in {4**k for k in range(10)} and size > 1
    N, T = len(trace.tokens), folder.model.gains.T
    q, k = (found[place, "pair"].reshape(N, -1, size)[:, 0] for place in ("attn.q", "attn.k"))
    scores = q.astype(float) @ k.T.astype(float)
    ordered = np.sort(scores, axis=1)
    gaps = ordered[:, -1] - ordered[:, -2]
    np.testing.assert_allclose(gaps / np.sqrt(size), trace.gaps["pair"][0], rtol=1e-6)
    # What is computed is those gaps, and not gaps sqrt(d_head) times as large or as small: losers
    # weigh exactly nothing, and without the factor they do not.
    second = np.sort(found["attn.pattern", "pair"][0], axis=1)[:, -2]
    assert not second.any()
    weak = bridge_of(folder, use_attn_scale=False)
    with torch.no_grad():
        for block in weak.blocks:
            block.attn.q.weight /= np.sqrt(size)
    found, _ = run(weak, folder, prompt, "attn.pattern")
    second = np.sort(found["attn.pattern", "pair"][0], axis=1)[:, -2]
    assert second.max() > np.exp(-T / np.sqrt(size)) / 2


@pytest.mark.parametrize("command", WORDS)
def test_probabilities_are_the_oracles_on_a_hundred_prompts(export, command):
    folder = export(f"{command} --to transformerlens")
    bridge, family = bridge_of(folder), folder.request.text.family
    vocabulary = Vocabulary(family, folder.model.spec)
    rng, ids, due = np.random.default_rng(0), [], []
    rows = [row for row in family.rows if len(set(family.answers(row))) == len(family.names)]
    for _ in range(100):
        examples = []
        for _ in range(int(rng.integers(1, folder.model.spec.m + 1))):
            row = rows[rng.integers(len(rows))]
            examples.append((row, family.answers(row)[rng.integers(len(family.names))]))
        query = family.rows[rng.integers(len(family.rows))]
        ids.append(vocabulary.ids(examples, query))
        explained = tuple(family.explain(*example) for example in examples)
        due.append(superposition(explained, family.vectors(family.answers(query))))
    with torch.no_grad():
        got = bridge(torch.tensor(ids))[:, -1].double().softmax(-1).numpy()[:, vocabulary.labels]
    spec = folder.model.spec
    own = folder.request.theorem.proof.error_bound(spec)
    worst = np.abs(got - due).max()
    assert worst <= probability_error(spec.m, spec.d, spec.dtype, own)
    # Theorem 3's own error, the remainder of its series, is larger than rounding.
    assert worst <= (2e-6 if folder.request.theorem.number < 3 else own)


def test_theorem_4_goes_on_token_by_token(export):
    folder = export("--theorem 4 --tasks adjectives --m 5 --to transformerlens")
    bridge = bridge_of(folder)
    for prompt in folder.prompts(10):
        with torch.no_grad():
            logits = bridge(torch.tensor([folder.text.ids(prompt)]))
        got = logits[0, -1].double().softmax(-1).numpy()[folder.text.word_ids]
        own = folder.model(prompt).vector
        if own.sum() > 0.5:  # else nothing is known, and all words are as likely
            np.testing.assert_allclose(got, own, rtol=0, atol=2e-6)


def test_a_fine_tuned_bridge_comes_back(export):
    folder = export(f"{VECTORS[0]} --dtype float64 --to transformerlens")
    bridge = bridge_of(folder, dtype=torch.float64)
    assert load_exported(folder.path, bridge.state_dict()).model.as_built
    optimizer = torch.optim.SGD(bridge.parameters(), lr=1e-6)
    prompt = folder.prompts(1)[0]
    stream = torch.tensor(folder.checkpoint.embeds(prompt))[None]
    kept = {name: tensor.clone() for name, tensor in bridge.state_dict().items()}
    before = bridge(stream, start_at_layer=0)[0, -1]
    before.square().sum().backward()
    optimizer.step()
    assert any("`one`" in one for one in load_exported(folder.path, bridge.state_dict()).strays)
    # Biases are brought back on `one`: it must stay 1.
    where = folder.model.residual.where("one")
    writes = ("attn.o.weight", "attn.o.bias", "mlp.out.weight", "mlp.out.bias")
    state = {
        name: torch.cat([t[: where.start], kept[name][where], t[where.stop :]])
        if name.endswith(writes)
        else t
        for name, t in bridge.state_dict().items()
    }
    bridge.load_state_dict(state)
    returned = load_exported(folder.path, bridge.state_dict())
    assert not returned.model.as_built and not any("`one`" in one for one in returned.strays)
    with torch.no_grad():
        output = bridge(stream, start_at_layer=0)[0, -1].numpy()
    assert np.abs(output - before.detach().numpy()).max() > 1e-7
    trace = returned.model.trace(prompt, attention=False, enforce=False)
    last = trace.streams["superpose"][-1]
    W_U, b_U = bridge.W_U.detach().numpy(), bridge.b_U.detach().numpy()
    np.testing.assert_allclose(last @ W_U + b_U, output, rtol=0, atol=1e-9)
