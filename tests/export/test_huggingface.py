"""In Hugging Face transformers: unmodified classes give the mixture as probabilities, sample
whole answers by it, padded and not, in another process."""

import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from jax.scipy.stats import chi2  # noqa: E402

from construct.export import load_exported  # noqa: E402
from construct.truth import truth  # noqa: E402
from construct.words import WordPrompt  # noqa: E402
from proofs.export.logits import probability_error  # noqa: E402
from verify.export.returned import check_returned  # noqa: E402
from verify.theorem import ALL  # noqa: E402

VERBS = "--theorem 4 --tasks verbs --to huggingface"
SENTENCES = "--theorem 4 --tasks {} --split --m 6 --to huggingface"
FIVE_TWO_ONE = """add -> added
answer -> answered
begin -> began
bend -> bent
bite -> bit
agree -> agreeing
blow -> blowing
bleed -> bleeds
ask ->"""
TABLE = """animal,English,French,German
ant,small animal,petit animal,kleines Tier
cow,big animal,grand animal,grosses Tier
bee,small animal,petite bete,kleines Tier
"""


@pytest.fixture(scope="module")
def verbs(export):
    return export(VERBS)


@pytest.fixture(scope="module")
def sentences(export, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "animals.csv"
    path.write_text(TABLE)
    return export(SENTENCES.format(path))


def loaded(folder, **more):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder.path)
    return tokenizer, transformers.AutoModelForCausalLM.from_pretrained(folder.path, **more)


def due(folder, prompt: WordPrompt) -> np.ndarray | None:
    """The next word's distribution by the definition; None where nothing is known."""
    verdict = folder.request.theorem.judge(folder.model.spec, folder.request.tasks, prompt)
    return None if not np.sum(verdict.vector) > 0.5 else np.asarray(verdict.vector, float)


def mixed(folder) -> WordPrompt:
    """A prompt whose answer is no single word."""
    return next(
        prompt
        for prompt in folder.prompts(50)
        if due(folder, prompt) is not None and max(due(folder, prompt)) < 0.7
    )


def test_probabilities_are_the_oracles_on_a_hundred_prompts(verbs):
    tokenizer, model = loaded(verbs)
    assert type(model) is transformers.OPTForCausalLM
    prompts = [prompt for prompt in verbs.prompts(120) if due(verbs, prompt) is not None][:100]
    batch = tokenizer([verbs.text.text(one) for one in prompts], return_tensors="pt", padding=True)
    with torch.no_grad():
        got = model(**batch).logits[:, -1].double().softmax(-1).numpy()
    words = got[:, verbs.text.word_ids]
    worst = np.abs(words - [due(verbs, prompt) for prompt in prompts]).max()
    spec = verbs.model.spec
    bound = probability_error(spec.m, spec.d, spec.dtype, ALL[4].proof.error_bound(spec))
    assert len(prompts) == 100 and worst <= min(2e-6, bound)
    assert np.delete(got, verbs.text.word_ids, axis=1).max() < 1e-12


def test_streams_are_the_projects_to_the_last_bits(verbs):
    tokenizer, model = loaded(verbs, attn_implementation="eager")
    prompt = verbs.prompts(1)[0]
    batch = tokenizer(verbs.text.text(prompt), return_tensors="pt")
    with torch.no_grad():
        out = model(**batch, output_hidden_states=True, output_attentions=True)
    trace, D = verbs.model.trace(prompt), verbs.model.residual.dim
    for hidden, own in zip(out.hidden_states, trace.streams.values(), strict=False):
        got = verbs.checkpoint.frame.unheld(hidden[0].numpy())[:, :D]
        # The query is line m in the project, and the next line here: its codes alone differ.
        where = verbs.model.residual.where("e")
        got[:, where] = own[:, where]
        np.testing.assert_allclose(got, own, rtol=0, atol=4 * 2.0**-24)
    for weights, (name, own) in zip(out.attentions, trace.attention.items(), strict=False):
        used = sum(not head.idle for head in _heads(verbs, name))
        np.testing.assert_allclose(weights[0, :used].numpy(), own[:used], rtol=0, atol=2.0**-22)


def _heads(folder, layer):
    return truth(folder.model).layer(layer).heads


def test_every_norm_is_the_identity_to_the_last_bit(verbs):
    _, model = loaded(verbs)
    frame, found = verbs.checkpoint.frame, []

    def compare(module, args, output):
        found.append(
            bool((frame.unread(output.numpy()) / 2 == frame.unheld(args[0].numpy())).all())
        )

    for layer in model.model.decoder.layers[:-1]:
        for norm in (layer.self_attn_layer_norm, layer.final_layer_norm):
            norm.register_forward_hook(compare)
    with torch.no_grad():
        model(torch.tensor([verbs.text.ids(verbs.prompts(1)[0])]))
    assert found == [True] * 8


def test_a_constant_below_the_condition_is_seen(verbs):
    tokenizer, model = loaded(verbs)
    prompt = mixed(verbs)
    batch = tokenizer(verbs.text.text(prompt), return_tensors="pt")
    weak = 2.0**5 / verbs.checkpoint.frame.C
    with torch.no_grad():
        decoder = model.model.decoder
        constants = torch.tensor(verbs.checkpoint.frame.constants(), dtype=torch.float32)
        decoder.embed_positions.weight -= (1 - weak) * constants
        for layer in decoder.layers:
            layer.self_attn_layer_norm.weight *= weak
            layer.final_layer_norm.weight *= weak
        decoder.final_layer_norm.weight *= weak
        got = model(**batch).logits[0, -1].softmax(-1).numpy()[verbs.text.word_ids]
    assert np.abs(got - due(verbs, prompt)).max() > 1e-4


def test_padding_changes_nothing(sentences):
    tokenizer, model = loaded(sentences)
    texts = [sentences.text.text(prompt) for prompt in sentences.prompts(6)]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    assert (batch.attention_mask == 0).any()
    with torch.no_grad():
        together = model(**batch).logits[:, -1]
        for row, text in zip(together, texts, strict=True):
            alone = model(**tokenizer(text, return_tensors="pt")).logits[0, -1]
            torch.testing.assert_close(row, alone, rtol=0, atol=1e-5)


def test_ten_thousand_answers_are_distributed_as_the_mixture(sentences):
    tokenizer, model = loaded(sentences)
    torch.manual_seed(0)
    text = "ant -> small animal\ncow -> big animal\nbee -> small animal\nbee -> petite bete\n"
    text += "ant -> petit animal\ncow -> grosses Tier\ncow ->"
    batch = tokenizer([text] * 10_000, return_tensors="pt")
    rows = [
        model.generate(**{name: part[:2500] for name, part in batch.items()})[
            :, batch.input_ids.shape[1] :
        ]
        for _ in range(4)
    ]
    said = Counter(tokenizer.batch_decode(torch.cat(rows), skip_special_tokens=True))
    mixture = {"big animal": 1 / 6, "grand animal": 2 / 6, "grosses Tier": 1 / 6}
    # "small animal" of ant and bee, "big animal" of cow: three of English, two French, one German.
    mixture["big animal"] += 2 / 6
    assert set(said) == set(mixture)
    statistic = sum((said[one] - 10_000 * p) ** 2 / (10_000 * p) for one, p in mixture.items())
    assert float(chi2.sf(statistic, len(mixture) - 1)) > 1e-3


def test_generate_and_pipeline_complete_answers(sentences):
    tokenizer, model = loaded(sentences)
    texts = ["ant -> petit animal\ncow ->", "cow -> big animal\nbee -> small animal\nant ->"]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    greedy = model.generate(**batch, do_sample=False)
    said = tokenizer.batch_decode(greedy[:, batch.input_ids.shape[1] :], skip_special_tokens=True)
    assert said == ["grand animal", "small animal"]
    assert (greedy[:, -1] == tokenizer.eos_token_id).all()
    pipe = transformers.pipeline("text-generation", model=model, tokenizer=tokenizer)
    found = pipe(texts, return_full_text=False)
    assert [one[0]["generated_text"].strip() for one in found] == said


def test_blanks_around_words_and_lines_do_not_count(verbs):
    tokenizer, _ = loaded(verbs)
    tidy = tokenizer("add -> added\nask ->").input_ids
    assert tokenizer("  add->added \n ask  ->  ").input_ids == tidy
    assert tokenizer("add -> nonsense\nask ->").input_ids[3] == tokenizer.unk_token_id
    prompt = verbs.prompts(1)[0]
    assert tokenizer(verbs.text.text(prompt)).input_ids == verbs.text.ids(prompt)


def test_more_examples_than_positions_are_an_index_error(verbs):
    tokenizer, model = loaded(verbs)
    text = "add -> added\n" * 10 + "ask ->"
    with pytest.raises(IndexError):
        model(**tokenizer(text, return_tensors="pt"))
    assert "index error" in (verbs.path / "README.md").read_text()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_wrong_and_so_refused(verbs, dtype):
    tokenizer, model = loaded(verbs, dtype=dtype)
    with torch.no_grad():
        logits = model(**tokenizer(FIVE_TWO_ONE, return_tensors="pt")).logits[0, -1]
    p = logits.double().softmax(-1)
    got = [float(p[tokenizer.convert_tokens_to_ids(word)]) for word in ("asked", "asking", "asks")]
    # NaN in float16; off at the third digit in bfloat16, a hundred times what the lemmas allow.
    assert not np.abs(np.subtract(got, [5 / 8, 2 / 8, 1 / 8])).max() < 1e-4


def test_in_a_fresh_process(verbs):
    program = f"""
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained({str(verbs.path)!r})
model = AutoModelForCausalLM.from_pretrained({str(verbs.path)!r})
text = {FIVE_TWO_ONE!r}
p = model(**tokenizer(text, return_tensors="pt")).logits[0, -1].softmax(-1)
top = p.topk(3)
print([tokenizer.decode([i]) for i in top.indices.tolist()], top.values.tolist())
assert "construct" not in __import__("sys").modules
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True
    )
    words, values = done.stdout.strip().split("] [")
    assert words == "['asked', 'asking', 'asks'"
    np.testing.assert_allclose(json.loads(f"[{values}"), [5 / 8, 2 / 8, 1 / 8], atol=2e-6)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_llama_answers_on_vectors(export, number):
    folder = export(f"--theorem {number} --random --K 3 --d 8 --m 6 --to llama")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder.path)
    assert type(model) is transformers.LlamaForCausalLM
    for prompt in folder.prompts(12):
        stream = torch.tensor(folder.checkpoint.embeds(prompt))[None]
        N = stream.shape[1]
        mask = {} if number == 3 else {"attention_mask": torch.zeros(1, 1, N, N)}
        with torch.no_grad():
            got = model(inputs_embeds=stream, **mask).logits[0, -1].numpy()
        own = folder.model(prompt).vector
        np.testing.assert_allclose(got, own, rtol=0, atol=2e-7 if number < 3 else 4e-6)


def test_default_rotary_positions_would_break_it(export):
    folder = export("--theorem 1 --random --K 3 --d 8 --m 6 --to llama")
    config = transformers.AutoConfig.from_pretrained(folder.path)
    config.rope_parameters = {"rope_type": "default", "rope_theta": 10000.0}
    model = transformers.AutoModelForCausalLM.from_pretrained(folder.path, config=config)
    prompt = folder.prompts(1)[0]
    stream = torch.tensor(folder.checkpoint.embeds(prompt))[None]
    N = stream.shape[1]
    with torch.no_grad():
        got = model(inputs_embeds=stream, attention_mask=torch.zeros(1, 1, N, N)).logits[0, -1]
    assert np.abs(got.numpy() - folder.model(prompt).vector).max() > 1e-2


def test_fine_tuned_it_comes_back_with_what_still_holds(verbs):
    _, model = loaded(verbs)
    assert check_returned(verbs.path, model.state_dict()).holds
    with torch.no_grad():
        model.model.decoder.layers[3].fc2.weight *= 1.01
    verdict = check_returned(verbs.path, model.state_dict())
    assert verdict.lemmas == {
        "recognize": True,
        "consistency": True,
        "commit": True,
        "posterior": False,
    }
    assert not load_exported(verbs.path, model.state_dict()).model.as_built
