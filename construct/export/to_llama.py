"""Export to Hugging Face on vectors: Theorems 1 to 3 as an unmodified LlamaForCausalLM that is
asked by `inputs_embeds`.

Llama has no table of positions, so the stream goes in whole: `Checkpoint.embeds(prompt)`. RMSNorm
is made an identity (`construct.export.norms`). Its rotary positions are switched off by a linear
scaling of 10^30: all angles are 0 then. An MLP's gate is W_1 and its other factor reads the
constant `one`, so that relu(W_1 h) * 1 is what is written back. The logits are the answer's d
coordinates; they are no log-probabilities. Theorems 1 and 2 see the whole prompt: pass the four
axes mask `torch.zeros(1, 1, N, N)`. Ours.
"""

from typing import Any

import numpy as np

from construct.export.arrays import Block, blocks_of, head_dim, neurons, square
from construct.export.checkpoint import Checkpoint, Shape, check_dtype, check_size
from construct.export.norms import EPS, Frame, frame, stream_norm
from construct.layers import Stack

TARGET = "llama"
# Rotary angles are position / factor * frequency: below every float that a cosine tells from 1.
FACTOR = 1e30
PLACES = {
    "resid_pre": "model.layers.{layer} (input)",
    "attn.q": "model.layers.{layer}.self_attn.q_proj",
    "attn.k": "model.layers.{layer}.self_attn.k_proj",
    "attn.v": "model.layers.{layer}.self_attn.v_proj",
    "attn.z": "model.layers.{layer}.self_attn.o_proj (input)",
    "attn_out": "model.layers.{layer}.self_attn",
    "mlp_out": "model.layers.{layer}.mlp",
    "resid_post": "model.layers.{layer}",
}


def llama(model: Stack, *, dtype: str | None = None) -> Checkpoint:
    """The checkpoint of a model of Theorem 1, 2 or 3 for transformers' AutoModelForCausalLM.

    dtype: the model's own. Raises ValueError for another dtype, and above 500 MB.
    """
    check_dtype(model.spec.dtype if dtype is None else dtype, model)
    fitted, shape = shape_of(model)
    check_size(shape, model.spec.dtype, "take a smaller d, m or K")
    inner: dict[str, np.ndarray] = {"embed_tokens.weight": np.zeros((shape.tokens, shape.width))}
    inner["norm.weight"] = np.full(shape.width, fitted.gain)
    for i, block in enumerate(blocks_of(model)):
        named = _block(model, block, shape, fitted)
        inner |= {f"layers.{i}.{name}": one for name, one in named.items()}
    tensors = {f"model.{name}": tensor for name, tensor in inner.items()}
    tensors["lm_head.weight"] = fitted.reading(model.residual["y"])
    tensors = {name: one.astype(model.spec.dtype) for name, one in tensors.items()}
    return Checkpoint(TARGET, model, tensors, _config(model, shape), PLACES, fitted)


def shape_of(model: Stack) -> tuple[Frame, Shape]:
    """The frame and the sizes of the host, before any of it is made."""
    spec, blocks = model.spec, blocks_of(model)
    heads = 1 << (spec.K - 1).bit_length()  # the width must be a multiple
    fitted = frame(
        "rms", model.residual.dim, norm=stream_norm(model), dtype=spec.dtype, multiple=heads
    )
    shape = Shape(
        layers=len(blocks),
        width=fitted.width,
        heads=heads,
        head_dim=max(head_dim(blocks), 4),  # rotations turn pairs
        neurons=max(neurons(blocks), 1),
        positions=0,
        tokens=spec.d,
        outputs=spec.d,
        gated=True,
    )
    return fitted, shape


def _block(model: Stack, block: Block, shape: Shape, fitted: Frame) -> dict[str, np.ndarray]:
    """One decoder layer: heads lie side by side in the projections."""
    size, rows = shape.head_dim, shape.heads * shape.head_dim
    parts = {name: np.zeros((rows, shape.width)) for name in ("q", "k", "v", "o")}
    for i, head in enumerate(block.heads):
        here = slice(i * size, (i + 1) * size)
        parts["q"][here] = fitted.reading(square(head.W_Q, size)) * np.sqrt(size)
        parts["k"][here] = fitted.reading(square(head.W_K, size))
        parts["v"][here] = fitted.reading(square(head.W_V, size))
        parts["o"][here] = fitted.hold(square(head.W_O.T, size))
    parts["o"] = parts["o"].T
    found: dict[str, np.ndarray] = {
        f"self_attn.{name}_proj.weight": part for name, part in parts.items()
    }
    W_1, W_2 = block.mlp or (np.zeros((0, fitted.dim)), np.zeros((fitted.dim, 0)))
    ones = np.repeat(model.residual["one"], len(W_1), axis=0)
    found["mlp.gate_proj.weight"] = square(fitted.reading(W_1), shape.neurons)
    found["mlp.up_proj.weight"] = square(fitted.reading(ones), shape.neurons)
    found["mlp.down_proj.weight"] = square(fitted.hold(W_2.T), shape.neurons).T
    for norm in ("input_layernorm", "post_attention_layernorm"):
        found[f"{norm}.weight"] = np.full(shape.width, fitted.gain)
    return found


def _config(model: Stack, shape: Shape) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.tokens,
        "hidden_size": shape.width,
        "intermediate_size": shape.neurons,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "head_dim": shape.head_dim,
        "hidden_act": "relu",
        "rms_norm_eps": EPS["rms"],
        "rope_parameters": {"rope_type": "linear", "factor": FACTOR, "rope_theta": 10000.0},
        "max_position_embeddings": model.spec.tokens,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "dtype": model.spec.dtype,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }
