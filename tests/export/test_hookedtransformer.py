"""In TransformerLens 3: HookedTransformer loads the same tensors, and its patterns and answers are
those of the project's trace."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
lens = pytest.importorskip("transformer_lens")
try:
    lens.HookedTransformer  # noqa: B018
except (AttributeError, ImportError):
    pytest.skip("version 4 has no HookedTransformer", allow_module_level=True)

from safetensors.torch import load_file  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


def hooked(folder):
    config = json.loads((folder.path / "config.json").read_text())
    model = lens.HookedTransformer(lens.HookedTransformerConfig.from_dict(config))
    tensors = load_file(folder.path / "model.safetensors")
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert not unexpected and all(name.endswith(("mask", "IGNORE")) for name in missing)
    return model.eval()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_patterns_and_answers_on_vectors(export, number):
    folder = export(f"--theorem {number} --random --K 3 --d 8 --m 6 --to transformerlens")
    model = hooked(folder)
    for prompt in folder.prompts(2):
        trace, found = folder.model.trace(prompt), {}

        def keep(value, hook, found=found):
            found[hook.name] = value.detach().numpy()[0]

        stream = torch.tensor(folder.checkpoint.embeds(prompt))[None]
        with torch.no_grad():
            hooks = [(lambda name: name.endswith("hook_pattern"), keep)]
            output = model.run_with_hooks(stream, start_at_layer=0, fwd_hooks=hooks)
        for layer, own in trace.attention.items():
            pattern = found[folder.checkpoint.named("attn.pattern", layer)]
            np.testing.assert_allclose(pattern, own, rtol=0, atol=2.0**-22)
        atol = 2e-7 if number < 3 else 4e-6
        np.testing.assert_allclose(output[0, -1].numpy(), trace.answer.vector, rtol=0, atol=atol)


def test_words(export):
    folder = export("--theorem 1 --tasks verbs --to transformerlens")
    model, text = hooked(folder), folder.request.text
    family = text.family
    row = family.rows[0]
    examples = [(row, family.answers(row)[0])] * 3 + [(row, family.answers(row)[1])]
    with torch.no_grad():
        p = model(torch.tensor([text.ids(examples, family.rows[1])]))[0, -1].softmax(-1).numpy()
    due = [3 / 4, 1 / 4]
    for answer, share in zip(family.answers(family.rows[1]), due, strict=False):
        assert abs(p[text.labels[family.coordinate[answer]]] - share) < 2e-6
