"""Checkpoints as files, and their way back: unchanged they are the same model, a struck weight
fails its own lemma and no other, and what is no part of the theorem is named."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from construct.export import llama, load_exported, plain, transformerlens
from construct.export.back import read_tensors
from construct.export.checkpoint import LARGEST, Shape, check_size
from verify.export.__main__ import maker, written
from verify.export.request import of_random
from verify.export.returned import check_returned
from verify.theorem import ALL

CASES = [(1, "transformerlens"), (1, "llama"), (3, "transformerlens"), (4, "huggingface")]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"theorem{case[0]}-{case[1]}")
def exported(request, tmp_path_factory) -> tuple[Path, str]:
    number, target = request.param
    theorem = ALL[number]
    n = 4 if number == 4 else 3
    asked = of_random(theorem, np.random.default_rng(0), K=2, d=4, m=3, n=n, dtype="float32")
    folder = tmp_path_factory.mktemp(f"theorem{number}")
    written(asked, maker(asked, asked.build(), target)[1], folder, 0)
    return folder, target


def struck(folder: Path, name: str, change) -> dict[str, np.ndarray]:
    """The checkpoint's tensors with one of them changed."""
    tensors = read_tensors(folder / "model.safetensors")
    assert name in tensors
    tensors[name] = change(tensors[name].copy())
    return tensors


def test_unchanged_it_is_the_same_model(exported):
    folder, _ = exported
    returned = load_exported(folder)
    assert returned.strays == () and returned.model.as_built
    # The arrays that come back from the host's tensors are those that were built.
    tensors = read_tensors(folder / "model.safetensors")
    again = load_exported(folder, {name: one.copy() for name, one in tensors.items()})
    assert again.model.as_built and again.strays == ()


def test_unchanged_every_lemma_holds(exported):
    verdict = check_returned(exported[0])
    assert verdict.holds and all(verdict.lemmas.values())


VALUE = {
    "transformerlens": "blocks.{}.attn.W_O",
    "llama": "model.layers.{}.self_attn.o_proj.weight",
    "huggingface": "model.decoder.layers.{}.self_attn.out_proj.weight",
}


def test_a_struck_layer_fails_its_own_lemma(exported):
    folder, target = exported
    last = 0 if target == "huggingface" else len(load_exported(folder).model.layers) - 1
    name = VALUE[target].format(last)
    verdict = check_returned(folder, struck(folder, name, lambda tensor: tensor * 0.5))
    names = list(verdict.lemmas)
    assert not verdict.holds and not verdict.lemmas[names[last]]
    assert all(verdict.lemmas[name] for name in names[:last])


def test_what_is_no_part_of_the_theorem_is_named(exported):
    folder, target = exported
    name = {"transformerlens": "unembed.W_U", "llama": "lm_head.weight"}.get(
        target, "lm_head.weight"
    )
    strays = load_exported(folder, struck(folder, name, lambda tensor: tensor + 1)).strays
    assert len(strays) == 1 and strays[0].endswith("an entry is off by 1")
    assert not check_returned(folder, struck(folder, name, lambda tensor: tensor + 1)).holds


def test_writes_to_a_norms_constants_are_named(exported):
    folder, target = exported
    if target == "transformerlens":
        pytest.skip("has no norm")

    def write(tensor):
        tensor[-1, 0] = 3.0  # a constant of Llama's; a coordinate of OPT's that must stay 0
        return tensor

    name = VALUE[target].format(0)
    (stray,) = load_exported(folder, struck(folder, name, write)).strays
    assert "constants" in stray and "block 0" in stray


def test_a_foreign_state_dict_is_refused(exported):
    folder, _ = exported
    tensors = read_tensors(folder / "model.safetensors")
    name = next(iter(tensors))
    with pytest.raises(ValueError, match="same model"):
        load_exported(folder, {key: one for key, one in tensors.items() if key != name})
    with pytest.raises(ValueError, match="must have shape"):
        load_exported(folder, tensors | {name: np.zeros((1, 1), np.float32)})


def test_a_folder_without_an_export_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no export"):
        load_exported(tmp_path)


def test_biases_and_rows_beyond_a_heads_come_back(exported):
    folder, target = exported
    if target != "transformerlens":
        pytest.skip("no biases there")
    rng = np.random.default_rng(0)
    tensors = {
        name: one
        if name.startswith(("embed", "pos", "unembed"))
        else one + rng.normal(size=one.shape).astype(np.float32) / 8
        for name, one in read_tensors(folder / "model.safetensors").items()
    }
    model = load_exported(folder, tensors).model
    assert not model.as_built
    h = rng.normal(size=(5, model.residual.dim)).astype(np.float32)
    h[:, model.residual.where("one")] = 1
    causal = model.layers[0].causal
    first = lens_layer(h.astype(np.float64), tensors, causal)
    # The first layer alone: later ones may read a `one` that noise has moved.
    stack = type(model)(
        model.spec, model.residual, [], model.gains, model.slots, model.readout, False
    )
    stack.layers.append(model.layers[0])
    got = np.asarray(stack.forward(jnp.asarray(h), jnp.ones(5, bool)))
    assert np.abs(got - first).max() <= 1e-4 * np.abs(first).max()


def lens_layer(h: np.ndarray, tensors: dict[str, np.ndarray], causal: bool) -> np.ndarray:
    """The first block of TransformerLens, from its tensors alone."""
    part = {
        name.removeprefix("blocks.0."): one.astype(np.float64)
        for name, one in tensors.items()
        if name.startswith("blocks.0.")
    }
    out = h + part["attn.b_O"]
    size = part["attn.W_Q"].shape[2]
    for i in range(len(part["attn.W_Q"])):
        q, k, v = (h @ part[f"attn.W_{x}"][i] + part[f"attn.b_{x}"][i] for x in "QKV")
        scores = q @ k.T / np.sqrt(size)
        if causal:
            scores = np.where(np.tril(np.ones(scores.shape, bool)), scores, -np.inf)
        weights = np.exp(scores - scores.max(1, keepdims=True))
        out = out + weights / weights.sum(1, keepdims=True) @ v @ part["attn.W_O"][i]
    middle = np.maximum(out @ part["mlp.W_in"] + part["mlp.b_in"], 0) if "mlp.W_in" in part else 0
    return out + (middle @ part["mlp.W_out"] + part["mlp.b_out"] if "mlp.W_in" in part else 0)


def test_the_folder_has_a_card_a_key_and_prompts(exported):
    folder, target = exported
    names = {path.name for path in folder.iterdir()}
    assert {"README.md", "truth.json", "check.safetensors", "theorem.safetensors"} <= names
    key = json.loads((folder / "truth.json").read_text())
    assert key["target"] == target and key["layers"][0]["places"]["resid_post"]
    card = (folder / "README.md").read_text()
    for part in ("## The theorem", "## The error", "## Load it", "## Limits"):
        assert part in card


def test_more_than_500_megabytes_are_refused():
    small = Shape(1, 10, 1, 4, 0, 1, 1, 1)
    assert check_size(small, "float32", "") == 4 * small.numbers
    large = Shape(8, 5000, 4, 1024, 20000, 10, 10, 10)
    with pytest.raises(ValueError, match=r"must be at most 500 MB.*take less"):
        check_size(large, "float32", "take less")
    assert large.numbers * 4 > LARGEST


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8"])
def test_a_dtype_that_cannot_hold_it_is_refused(dtype):
    theorem = ALL[1]
    made = theorem.draw_instance(np.random.default_rng(0), K=2, d=4, m=3, n=3)
    model = theorem.build(made.spec, made.tasks)
    for make in (transformerlens, llama):
        with pytest.raises(ValueError, match="cannot hold these weights"):
            make(model, dtype=dtype)
    with pytest.raises(ValueError, match="build it with dtype='float64'"):
        transformerlens(model, dtype="float64")


def test_the_size_is_known_before_the_weights_are_made(exported):
    folder, target = exported
    del target
    asked = load_exported(folder).model
    tensors = read_tensors(folder / "model.safetensors")
    from construct.export import to_huggingface, to_llama, to_transformerlens

    shape = {
        "transformerlens": lambda: to_transformerlens.shape_of(asked),
        "llama": lambda: to_llama.shape_of(asked)[1],
        "huggingface": lambda: to_huggingface.shape_of(asked)[1],
    }[exported[1]]()
    size = sum(one.size for one in tensors.values())
    assert shape.numbers <= size <= 1.1 * shape.numbers + 2000


def test_places_have_the_tools_names(exported):
    folder, _ = exported
    model = load_exported(folder).model
    checkpoint = plain(model)
    name = model.layers[-1].name
    assert checkpoint.named("resid_post", name) == f"{name}.resid_post"
    assert checkpoint.named("resid_post", name) in model.places()
    with pytest.raises(ValueError, match="must be a place of safetensors"):
        checkpoint.named("nowhere", name)
    with pytest.raises(ValueError, match="must name a layer"):
        checkpoint.named("resid_post", "nowhere")
