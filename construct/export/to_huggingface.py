"""Export to Hugging Face: Theorem 4 as an unmodified OPTForCausalLM that reads and writes text.

OPT suits: its norms stand before attention and MLP, its MLPs are ReLU, its positions are learned
and counted by the attention mask, so that a batch padded on the left is right in a plain forward
pass too. The layer norms are made an identity (`construct.export.norms`): the stream is stored as
h and -h beside constants, and rows read half the difference. Scores are divided by sqrt(d_head),
which is 2^k here and undone in W_Q. The last block takes logarithms (`construct.export.logits`).
Ours.
"""

import json
import math
from typing import Any

import numpy as np

from construct.export.arrays import Block, blocks_of, head_dim, neurons, square, widened
from construct.export.checkpoint import Checkpoint, Shape, check_dtype, check_size
from construct.export.logits import NAME as LOGITS
from construct.export.logits import floor, knots_of, logits_block
from construct.export.logits import widened as with_logits
from construct.export.norms import Frame, frame, stream_norm
from construct.export.sentences import BOS, END, PAD, Sentences
from construct.layers import Stack

TARGET = "huggingface"
OFFSET = 2  # OPT's position p has row p + 2
PLACES = {
    "resid_pre": "model.decoder.layers.{layer} (input)",
    "attn.q": "model.decoder.layers.{layer}.self_attn.q_proj",
    "attn.k": "model.decoder.layers.{layer}.self_attn.k_proj",
    "attn.v": "model.decoder.layers.{layer}.self_attn.v_proj",
    "attn.z": "model.decoder.layers.{layer}.self_attn.out_proj (input)",
    "attn_out": "model.decoder.layers.{layer}.self_attn",
    "mlp_out": "model.decoder.layers.{layer}.fc2",
    "resid_post": "model.decoder.layers.{layer}",
}


def huggingface(model: Stack, sentences: Sentences, *, dtype: str | None = None) -> Checkpoint:
    """The checkpoint of a Theorem 4 model for transformers' AutoModelForCausalLM, with the
    tokenizer of its words.

    dtype: the model's own. Raises ValueError for another dtype, another theorem, and above 500 MB.
    """
    check_dtype(model.spec.dtype if dtype is None else dtype, model)
    fitted, shape = shape_of(model)
    check_size(shape, model.spec.dtype, "take fewer words, or a smaller m, K or L")
    residual = with_logits(model.residual, model.spec.d)
    blocks = [widened(block, residual.dim) for block in blocks_of(model)]
    blocks.append(logits_block(residual, "y", model.spec.m, 1, model.spec.dtype))
    W_E, W_pos = sentences.embeddings(residual)
    lowest = floor(model.spec.d, model.spec.dtype)
    positions = np.zeros((OFFSET + shape.positions, shape.width))
    positions[OFFSET:] = fitted.hold(W_pos)
    positions += fitted.constants()
    decoder = {
        "embed_tokens.weight": fitted.hold(W_E),
        "embed_positions.weight": positions,
    }
    for i, block in enumerate(blocks):
        decoder |= {f"layers.{i}.{name}": one for name, one in _block(block, shape, fitted).items()}
    tensors = {f"model.decoder.{name}": tensor for name, tensor in decoder.items()}
    tensors["model.decoder.final_layer_norm.weight"] = np.full(shape.width, fitted.gain)
    tensors["model.decoder.final_layer_norm.bias"] = np.zeros(shape.width)
    tensors["lm_head.weight"] = fitted.reading(sentences.unembedding(residual, LOGITS, lowest))
    tensors = {name: one.astype(model.spec.dtype) for name, one in tensors.items()}
    config = _config(model, shape, sentences)
    return Checkpoint(
        TARGET,
        model,
        tensors,
        config,
        PLACES,
        fitted,
        sentences.texts() | _generation(sentences),
    )


def shape_of(model: Stack) -> tuple[Frame, Shape]:
    """The frame and the sizes of the host, before any of it is made."""
    spec, blocks = model.spec, blocks_of(model)
    size = head_dim(blocks)
    working = max(
        (sum(bool(head.W_O.any()) for head in block.heads) for block in blocks), default=1
    )
    dim = model.residual.dim + spec.d
    # The last norm has the logits before it too, each at the floor or above.
    logits = spec.d**0.5 * abs(floor(spec.d, spec.dtype))
    fitted = frame(
        "layer",
        dim,
        norm=math.hypot(stream_norm(model), logits),
        dtype=spec.dtype,
        multiple=size,
        least=working * size,
    )
    shape = Shape(
        layers=len(blocks) + 1,
        width=fitted.width,
        heads=fitted.width // size,
        head_dim=size,
        neurons=max(neurons(blocks), spec.d * len(knots_of(spec.m))),
        positions=spec.tokens,
        tokens=5 + spec.d,
        outputs=5 + spec.d,
    )
    return fitted, shape


def _block(block: Block, shape: Shape, fitted: Frame) -> dict[str, np.ndarray]:
    """One decoder layer: heads lie side by side in the projections."""
    size, width = shape.head_dim, shape.width
    found: dict[str, np.ndarray] = {
        f"self_attn.{name}_proj.weight": np.zeros((width, width)) for name in ("q", "k", "v")
    }
    out = np.zeros((width, width))
    for i, head in enumerate(block.heads[: shape.heads]):  # those beyond are idle
        rows = slice(i * size, (i + 1) * size)
        scale = np.sqrt(size)
        found["self_attn.q_proj.weight"][rows] = fitted.reading(square(head.W_Q, size)) * scale
        found["self_attn.k_proj.weight"][rows] = fitted.reading(square(head.W_K, size))
        found["self_attn.v_proj.weight"][rows] = fitted.reading(square(head.W_V, size))
        out[rows] = fitted.hold(square(head.W_O.T, size))
    found["self_attn.out_proj.weight"] = out.T
    W_1, W_2 = block.mlp or (np.zeros((0, fitted.dim)), np.zeros((fitted.dim, 0)))
    found["fc1.weight"] = square(fitted.reading(W_1), shape.neurons)
    found["fc2.weight"] = square(fitted.hold(W_2.T), shape.neurons).T
    for norm in ("self_attn_layer_norm", "final_layer_norm"):
        found[f"{norm}.weight"] = np.full(width, fitted.gain)
        found[f"{norm}.bias"] = np.zeros(width)
    return found


def _config(model: Stack, shape: Shape, sentences: Sentences) -> dict[str, Any]:
    return {
        "architectures": ["OPTForCausalLM"],
        "model_type": "opt",
        "vocab_size": shape.tokens,
        "hidden_size": shape.width,
        "word_embed_proj_dim": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "ffn_dim": shape.neurons,
        "max_position_embeddings": shape.positions,
        "activation_function": "relu",
        "do_layer_norm_before": True,
        "layer_norm_elementwise_affine": True,
        "enable_bias": False,
        "tie_word_embeddings": False,
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "layerdrop": 0.0,
        "dtype": model.spec.dtype,
        "bos_token_id": sentences.ids_of[BOS],
        "eos_token_id": sentences.ids_of[END],
        "pad_token_id": sentences.ids_of[PAD],
    }


def _generation(sentences: Sentences) -> dict[str, str]:
    """How `generate` goes on by default: sampled from the distribution as it is, L words and the
    end."""
    config = {
        "do_sample": True,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "bos_token_id": sentences.ids_of[BOS],
        "eos_token_id": sentences.ids_of[END],
        "pad_token_id": sentences.ids_of[PAD],
        "max_new_tokens": sentences.spec.L + 1,
    }
    return {"generation_config.json": json.dumps(config, indent=2) + "\n"}
