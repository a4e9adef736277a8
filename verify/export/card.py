"""The model card beside a checkpoint: what it is, the theorem, the error, how to load it, and its
limits."""

import numpy as np

from construct.export import Checkpoint
from construct.export.checkpoint import megabytes
from verify.export.request import Request

LOADING = {
    "transformerlens": """\
```python
import json
from safetensors.torch import load_file
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources.native import boot
from transformer_lens.utilities.tl_checkpoint_conversion import convert_tl_checkpoint

config = TransformerBridgeConfig.from_dict(json.load(open("config.json")))
bridge = boot(config)
bridge.load_state_dict(convert_tl_checkpoint(load_file("model.safetensors"), config))
```

`HookedTransformer` of TransformerLens 3 takes the same tensors as they are:
`HookedTransformer(HookedTransformerConfig.from_dict(json.load(open("config.json"))))`, then
`load_state_dict(load_file("model.safetensors"), strict=False)` (its masks are no part of the file).
""",
    "huggingface": """\
```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
model = AutoModelForCausalLM.from_pretrained(".")
batch = tokenizer({prompts!r}, return_tensors="pt", padding=True)
model(**batch).logits[:, -1].softmax(-1)  # the next word's distribution
tokenizer.batch_decode(model.generate(**batch), skip_special_tokens=True)  # samples whole answers
```
""",
    "llama": """\
```python
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained(".")
prompts = load_file("check.safetensors")
stream = prompts["prompt.0.embeds"][None]  # (1, N, width)
{mask}model(inputs_embeds=stream{masked}).logits[0, -1]  # the answer: {d} coordinates
```

The stream of any other prompt: `construct.export.llama(model).embeds(prompt)`.
""",
    "safetensors": """\
```python
from construct import Transformer

model = Transformer.load("theorem.safetensors")
```
""",
}


def card(request: Request, checkpoint: Checkpoint, prompts: list[str]) -> str:
    """The model card, in Markdown."""
    theorem, spec = request.theorem, request.spec
    causal = theorem.causal
    loading = LOADING[checkpoint.target]
    if checkpoint.target == "huggingface":
        loading = loading.format(prompts=prompts[:2])
    elif checkpoint.target == "llama":
        mask = (
            "" if causal else "N = stream.shape[1]\nmask = torch.zeros(1, 1, N, N)  # all see all\n"
        )
        loading = loading.format(
            d=spec.d, mask=mask, masked="" if causal else ", attention_mask=mask"
        )
    lines = [
        f"# Theorem {theorem.number} for {request.name}",
        "",
        "A transformer whose weights were written down, not trained.",
        f"It performs {spec.K} tasks in superposition: {', '.join(request.task_names)}.",
        f"Size: {megabytes(checkpoint.bytes)}, {spec.dtype}.",
        "",
        "## The theorem",
        "",
        theorem.statement,
        f"(Source: {theorem.source}.)",
        "It assumes of a prompt:",
        "",
        *(f"- {line}" for line in theorem.hypotheses),
        "",
        "## The error",
        "",
        "By the theorem's lemmas the answer is off by at most "
        f"{theorem.proof.error_bound(spec):.2g} {'in all' if theorem.number == 4 else 'anywhere'}.",
        *_norms(checkpoint),
        "",
        "## Load it",
        "",
        loading,
        "## Which head does what",
        "",
        "`truth.json` is the answer key: by layer and head, at which tokens it acts, what it looks",
        "at, reads and writes, and which tasks it serves, with this tool's names of the places.",
        "Block i is layer i of the theorem.",
        "",
        "## Limits",
        "",
        *(f"- {line}" for line in _limits(request, checkpoint)),
        "",
        "`python -m verify.export --back FOLDER` holds these weights, or a state dict of their",
        "shape, against the theorem's lemmas.",
        "",
    ]
    return "\n".join(lines)


def _norms(checkpoint: Checkpoint) -> list[str]:
    frame = checkpoint.frame
    if frame.kind == "none":
        return ["No normalization stands in this model."]
    what = "layer norm" if frame.kind == "layer" else "RMSNorm"
    return [
        f"Every {what} is the identity on the stream: {frame.pads} coordinates hold a constant of "
        f"size C = 2^{int(np.log2(frame.C))}, in whose square the stream's is lost by rounding.",
    ]


def _limits(request: Request, checkpoint: Checkpoint) -> list[str]:
    spec, target = request.spec, checkpoint.target
    found = [
        f"At most m = {spec.m} examples: there are no positions for more, and a longer prompt is "
        "an index error."
        if target in ("transformerlens", "huggingface")
        else f"At most m = {spec.m} examples.",
        f"{spec.dtype} alone: float16 overflows, and bfloat16 is off at the third digit.",
    ]
    if request.text is None:
        found.append("It takes vectors, and no text.")
    elif target == "transformerlens" and request.theorem.number != 4:
        found.append(
            "A prompt has one length, 1 + (m + 1) n: `<pad>` tokens stand for missing examples."
        )
    if request.text is not None:
        found.append("Without an example that counts every word is as likely as any other.")
        found.append("Words that are not in its vocabulary mean nothing to it.")
    return found
