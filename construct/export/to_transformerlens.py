"""Export to TransformerLens: block i of the model is layer i of the theorem, head for head.

The tensors have TransformerLens' own names (`blocks.0.attn.W_Q`), which `HookedTransformer` (3.9)
loads as they are and `TransformerBridge.boot_native` (4.x) through its own
`convert_tl_checkpoint`. There is no norm. Scores are divided by sqrt(d_head) there, whatever
`use_attn_scale` says (4.x ignores it in silence): d_head is 4^k, so that W_Q times sqrt(d_head)
undoes it to the last bit.

On words a model takes token ids (`construct.export.tokens`) and its logits are log-probabilities,
by one more block (`construct.export.logits`). On vectors it takes the stream: `W_pos` holds what
every position is, and the content goes in by a hook on `embed.hook_out`, or the whole stream by
`start_at_layer=0`; its "logits" are then the answer's coordinates. Ours.
"""

from typing import Any

import numpy as np

from construct.export.arrays import Block, blocks_of, head_dim, neurons, square, widened
from construct.export.checkpoint import Checkpoint, Shape, check_dtype, check_size
from construct.export.logits import NAME as LOGITS
from construct.export.logits import floor, knots_of, logits_block
from construct.export.logits import widened as with_logits
from construct.export.norms import frame
from construct.export.sentences import Sentences
from construct.export.tokens import Vocabulary, position_rows
from construct.layers import Stack

TARGET = "transformerlens"
PLACES = {
    "resid_pre": "blocks.{layer}.hook_resid_pre",
    "attn.q": "blocks.{layer}.attn.hook_q",
    "attn.k": "blocks.{layer}.attn.hook_k",
    "attn.v": "blocks.{layer}.attn.hook_v",
    "attn.pattern": "blocks.{layer}.attn.hook_pattern",
    "attn.z": "blocks.{layer}.attn.hook_z",
    "attn_out": "blocks.{layer}.hook_attn_out",
    "resid_mid": "blocks.{layer}.hook_resid_mid",
    "mlp_out": "blocks.{layer}.hook_mlp_out",
    "resid_post": "blocks.{layer}.hook_resid_post",
}


def transformerlens(
    model: Stack, text: Vocabulary | Sentences | None = None, *, dtype: str | None = None
) -> Checkpoint:
    """The checkpoint for TransformerLens: of token ids if the model is that of words, else of
    vectors.

    text: the tokens of a family's words, or for Theorem 4 of its sentences.

    dtype: the model's own. Raises ValueError for another dtype, and above 500 MB.
    """
    check_dtype(model.spec.dtype if dtype is None else dtype, model)
    residual, blocks = model.residual, blocks_of(model)
    shape = shape_of(model, text)
    check_size(shape, model.spec.dtype, "take fewer words, or a smaller m, K or d")
    if text is None:
        W_E, W_pos = np.zeros((1, residual.dim)), position_rows(residual, model.spec)
        W_U, texts = residual["y"].T, {}
    else:
        residual = with_logits(residual, model.spec.d)
        blocks = [widened(block, residual.dim) for block in blocks]
        blocks.append(logits_block(residual, "y", model.spec.m, model.spec.K, model.spec.dtype))
        W_E, W_pos = text.embeddings(residual)
        lowest = floor(model.spec.d, model.spec.dtype)
        W_U, texts = text.unembedding(residual, LOGITS, lowest).T, text.texts()
    tensors = {"embed.W_E": W_E, "pos_embed.W_pos": W_pos, "unembed.W_U": W_U}
    tensors["unembed.b_U"] = np.zeros(W_U.shape[1])
    for i, block in enumerate(blocks):
        tensors |= {f"blocks.{i}.{name}": one for name, one in _block(block, shape).items()}
    tensors = {name: one.astype(model.spec.dtype) for name, one in tensors.items()}
    return Checkpoint(
        TARGET,
        model,
        tensors,
        _config(model, shape),
        PLACES,
        frame("none", residual.dim, norm=0.0, dtype=model.spec.dtype),
        texts,
    )


def shape_of(model: Stack, text: Vocabulary | Sentences | None = None) -> Shape:
    """The sizes of the host, before any of it is made."""
    spec, blocks, width = model.spec, blocks_of(model), model.residual.dim
    widest, tokens, outputs = neurons(blocks), 1, spec.d
    if text is not None:
        width += spec.d
        widest = max(widest, spec.d * len(knots_of(spec.m)))
        tokens = outputs = len(text.tokens)
    return Shape(
        layers=len(blocks) + (text is not None),
        width=width,
        heads=spec.K,
        head_dim=head_dim(blocks),
        neurons=widest,
        positions=spec.tokens,
        tokens=tokens,
        outputs=outputs,
    )


def _block(block: Block, shape: Shape) -> dict[str, np.ndarray]:
    """One block by TransformerLens' names: matrices act on rows there, so they are transposed."""
    H, size, width = shape.heads, shape.head_dim, shape.width
    scale = np.sqrt(size)
    found = {
        "attn.W_Q": np.stack([square(head.W_Q, size).T * scale for head in block.heads]),
        "attn.W_K": np.stack([square(head.W_K, size).T for head in block.heads]),
        "attn.W_V": np.stack([square(head.W_V, size).T for head in block.heads]),
        "attn.W_O": np.stack([square(head.W_O.T, size) for head in block.heads]),
        "attn.b_O": np.zeros(width),
    }
    found |= {f"attn.b_{name}": np.zeros((H, size)) for name in "QKV"}
    if shape.neurons:
        W_1, W_2 = block.mlp or (np.zeros((0, width)), np.zeros((width, 0)))
        found["mlp.W_in"] = square(W_1, shape.neurons).T
        found["mlp.W_out"] = square(W_2.T, shape.neurons)
        found |= {"mlp.b_in": np.zeros(shape.neurons), "mlp.b_out": np.zeros(width)}
    return found


def _config(model: Stack, shape: Shape) -> dict[str, Any]:
    """What TransformerBridgeConfig and HookedTransformerConfig are made of."""
    return {
        "d_model": shape.width,
        "d_head": shape.head_dim,
        "n_heads": shape.heads,
        "n_layers": shape.layers,
        "n_ctx": shape.positions,
        "d_vocab": shape.tokens,
        "d_vocab_out": shape.outputs,
        "d_mlp": shape.neurons or None,
        "act_fn": "relu",
        "attn_only": not shape.neurons,
        "normalization_type": None,
        "attention_dir": "causal" if model.layers[0].causal else "bidirectional",
        "init_weights": False,
    }
