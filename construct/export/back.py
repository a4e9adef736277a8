"""The way back: a state dict of an exported shape, fine-tuned perhaps, as the theorem's transformer
again, so that it can be verified against the lemmas.

Whatever a matrix does to the theorem's stream comes back: rows beyond those that a head had, biases
(on `one`, which every token holds) and what is read of a norm's constants. What cannot come back,
or is no part of the theorem, is a *stray*, named in words: an embedding table, a norm or the block
of logits that is not as it was, a write to a norm's constants.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from construct import checks
from construct.export import to_huggingface, to_llama, to_safetensors, to_transformerlens
from construct.export.arrays import HeadArrays
from construct.export.checkpoint import CONFIG, THEOREM, TRUTH, WEIGHTS
from construct.export.norms import Frame
from construct.heads import HeadBank
from construct.layers import Layer, LayerWeights, MLPWeights, Stack
from construct.saved import assembled, load


class Returned(NamedTuple):
    """A transformer that came back, and what of the state dict could not come with it."""

    model: Any
    strays: tuple[str, ...]


@dataclass(frozen=True)
class _Host:
    """How a target's blocks are stored: the names of the matrices (rows out, columns in). up: the
    other factor of a gated MLP, where there is one."""

    prefix: str
    q: str
    k: str
    v: str
    o: str
    W_1: str
    W_2: str
    up: str = ""


HOSTS = {
    to_transformerlens.TARGET: _Host(
        "blocks.{}.", "attn.q", "attn.k", "attn.v", "attn.o", "mlp.in", "mlp.out"
    ),
    to_huggingface.TARGET: _Host(
        "model.decoder.layers.{}.",
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
        "self_attn.out_proj",
        "fc1",
        "fc2",
    ),
    to_llama.TARGET: _Host(
        "model.layers.{}.",
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
        "self_attn.o_proj",
        "mlp.gate_proj",
        "mlp.down_proj",
        "mlp.up_proj",
    ),
}


def load_exported(
    folder: str | os.PathLike, state_dict: Mapping[str, Any] | None = None
) -> Returned:
    """The transformer of a folder that an export wrote, with the weights of its checkpoint or of a
    state dict of the same shape (tensors of torch or arrays; TransformerLens' own names too).

    Raises ValueError where the folder is not an export's, or a tensor is missing or of another
    shape.
    """
    path = Path(folder)
    try:
        target = json.loads((path / TRUTH).read_text(encoding="utf-8"))["target"]
        if target == to_safetensors.TARGET:
            return Returned(load(path / THEOREM), ())
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError) as error:
        raise checks.refuse(
            "folder", repr(str(path)), f"holds no export ({error})", "pass a folder that one wrote"
        ) from None
    model = load(path / THEOREM)
    written = read_tensors(path / WEIGHTS)
    given = written if state_dict is None else {k: _array(v) for k, v in state_dict.items()}
    if target == to_transformerlens.TARGET:
        for name in written.keys() & given.keys():  # before they are laid out in another way
            _check_shape(name, given, written[name])
        given, written = (_bridged(one) for one in (given, written))
    for name, tensor in written.items():
        _check_shape(name, given, tensor)
    fitted, size = _sizes(model, target, config)
    return _returned(model, HOSTS[target], fitted, size, given, written)


def _check_shape(name: str, given: Mapping[str, np.ndarray], tensor: np.ndarray) -> None:
    if name not in given or given[name].shape != tensor.shape:
        raise checks.refuse(
            f"state_dict[{name!r}]",
            f"a tensor of shape {given[name].shape}" if name in given else "nothing",
            f"must have shape {tensor.shape}, as in the checkpoint",
            "pass the state dict of the same model",
        )


def _sizes(model: Stack, target: str, config: Mapping[str, Any]) -> tuple[Frame, int]:
    if target == to_transformerlens.TARGET:
        return Frame("none", config["d_model"], config["d_model"]), config["d_head"]
    fitted, shape = (to_huggingface if target == to_huggingface.TARGET else to_llama).shape_of(
        model
    )
    return fitted, shape.head_dim


def _returned(
    model: Stack,
    host: _Host,
    fitted: Frame,
    size: int,
    given: Mapping[str, np.ndarray],
    written: Mapping[str, np.ndarray],
) -> Returned:
    strays: list[str] = []
    layers, seen = [], set()
    for i, layer in enumerate(model.layers):
        block = _Block(host, fitted, model, size, given, written, i, strays, seen)
        layers.append(block.layer(layer))
    for name, tensor in written.items():
        if name not in seen and (given[name] != tensor).any():
            off = float(np.abs(given[name] - tensor).max())
            strays.append(f"{name} is not as it was: an entry is off by {off:.3g}")
    same = all(np.array_equal(given[name], written[name]) for name in seen)
    if same:
        return Returned(model, tuple(strays))
    return Returned(assembled(model, layers), tuple(strays))


@dataclass
class _Block:
    """One block of a state dict on its way back. strays, seen: what could not come, and the names
    of the tensors that were read; both are added to."""

    host: _Host
    fitted: Frame
    model: Stack
    size: int
    given: Mapping[str, np.ndarray]
    written: Mapping[str, np.ndarray]
    index: int
    strays: list[str]
    seen: set[str]

    def layer(self, old: Layer) -> LayerWeights:
        """The layer as the theorem has it, in the banks that it had."""
        heads = list(self._heads())
        banks, start = [], 0
        for bank in old.banks:
            own = heads[start : start + bank.count]
            # Idle heads for which the host has no place.
            own += [HeadArrays(*(0 * part for part in heads[0]))] * (bank.count - len(own))
            shape = (bank.W_Q.shape[1], bank.W_V.shape[1])
            banks.append(_bank(own, bank.terms, *shape, self.model.spec.dtype))
            start += bank.count
        return LayerWeights(
            old.name, tuple(banks), old.support, self._mlp(old), old.causal, old.many_heads
        )

    def _read(self, name: str) -> Float[np.ndarray, "rows D"]:
        """Rows that read the normed stream, with what they read of constants and their bias on
        `one`."""
        weight, bias = self._pair(name)
        constant = weight @ self.fitted.constants() + bias
        D = self.model.residual.dim
        return self.fitted.unread(weight)[:, :D] + np.outer(constant, self.model.residual["one"])

    def _write(self, name: str) -> tuple[Float[np.ndarray, "D columns"], Float[np.ndarray, "D"]]:
        """Columns that write to the stream, and a bias."""
        weight, bias = self._pair(name)
        both = np.column_stack([weight, bias]).T
        held = self.fitted.unheld(both)
        off = np.abs(self.fitted.hold(held) - both).max()
        if off > 0:
            self.strays.append(
                f"{name} of block {self.index} writes up to {off:.3g} beside the stream, where "
                "norms have their constants"
            )
        D = self.model.residual.dim
        return held[:-1, :D].T, held[-1, :D]

    def _pair(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        full = f"{self.host.prefix.format(self.index)}{name}"
        self.seen.add(f"{full}.weight")
        weight = self.given[f"{full}.weight"].astype(np.float64)
        bias = self.given.get(f"{full}.bias")
        if bias is None:
            return weight, np.zeros(len(weight))
        self.seen.add(f"{full}.bias")
        return weight, bias.astype(np.float64)

    def _heads(self) -> Iterator[HeadArrays]:
        host, size, one = self.host, self.size, self.model.residual["one"]
        q, k, v = (self._read(name) for name in (host.q, host.k, host.v))
        out, bias = self._write(host.o)
        for start in range(0, len(q), size):
            rows = slice(start, start + size)
            V, W_O = v[rows], out[:, rows]
            if bias.any():
                # A head's weights sum to 1: a value that reads `one` adds its column once.
                V = np.concatenate([V, one if start == 0 else 0 * one])
                W_O = np.column_stack([W_O, bias])
            yield HeadArrays(q[rows] / np.sqrt(size), k[rows], V, W_O)

    def _mlp(self, old: Layer) -> MLPWeights | None:
        host, residual, dtype = self.host, self.model.residual, self.model.spec.dtype
        if f"{host.prefix.format(self.index)}{host.W_1}.weight" not in self.given:
            return None
        W_1, (W_2, bias) = self._read(host.W_1), self._write(host.W_2)
        if host.up:
            self._check_up()
        if bias.any():
            W_1, W_2 = np.concatenate([W_1, residual["one"]]), np.column_stack([W_2, bias])
        used = W_1.any(1) & W_2.any(0)
        had = 0 if old.mlp is None else old.mlp.W_1.shape[0]
        count = max(had, int(np.flatnonzero(used)[-1]) + 1 if used.any() else 0)
        if not count:
            return None
        return MLPWeights(W_1[:count].astype(dtype), W_2[:, :count].astype(dtype))

    def _check_up(self) -> None:
        name = f"{self.host.prefix.format(self.index)}{self.host.up}.weight"
        self.seen.add(name)
        if not np.array_equal(self.given[name], self.written[name]):
            self.strays.append(f"{self.host.up} of block {self.index} no longer reads `one` alone")


def _bank(heads: list[HeadArrays], terms: Any, rank: int, v: int, dtype: str) -> HeadBank:
    """Heads as a bank of the shape that it had, or wider where more rows are used now."""
    Q, K, V, out = (np.stack(parts) for parts in zip(*heads, strict=True))
    strayed = bool(Q[:, rank:].any() and K[:, rank:].any())
    if strayed:
        more = Q.shape[1] - rank
        terms = (
            (("strayed", more + rank),) if terms == (("idle", 1),) else (*terms, ("strayed", more))
        )
        rank = Q.shape[1]
    if V[:, v:].any() and out[:, :, v:].any():
        v = V.shape[1]
    arrays = (Q[:, :rank], K[:, :rank], V[:, :v], out[:, :, :v])
    idle = terms == (("idle", 1),)
    if idle and any(one.any() for one in arrays):
        terms = (("strayed", rank),)
    return HeadBank(*(np.ascontiguousarray(one, dtype) for one in arrays), terms=terms)


def _bridged(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """TransformerLens tensors by the names that its bridge has for them; those of
    `HookedTransformer` (W_Q and the like) are laid out as the bridge's are."""
    found = {}
    rename = {"W_in": "in", "W_out": "out", "W_E": "", "W_pos": "", "W_U": ""}
    for name, tensor in tensors.items():
        head, _, last = name.rpartition(".")
        if last in ("W_Q", "W_K", "W_V"):
            flat = np.swapaxes(tensor, 1, 2)
            found[f"{head}.{last[-1].lower()}.weight"] = flat.reshape(-1, tensor.shape[1])
        elif last == "W_O":
            found[f"{head}.o.weight"] = tensor.reshape(-1, tensor.shape[2]).T
        elif last in ("b_Q", "b_K", "b_V", "b_O"):
            found[f"{head}.{last[-1].lower()}.bias"] = tensor.reshape(-1)
        elif last in ("b_in", "b_out"):
            found[f"{head}.{last[2:]}.bias"] = tensor
        elif last == "b_U":
            found[f"{head}.bias"] = tensor
        elif last in rename:
            middle = f".{rename[last]}" if rename[last] else ""
            turned = tensor if last in ("W_E", "W_pos") else tensor.T
            found[f"{head}{middle}.weight"] = turned
        elif last in ("weight", "bias"):
            found[name] = tensor
    return found


def _array(tensor: Any) -> np.ndarray:
    """A tensor of torch, or what NumPy makes of it."""
    return np.asarray(tensor.detach().cpu() if hasattr(tensor, "detach") else tensor)


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file. Raises ValueError where there is none."""
    package = checks.package("safetensors.numpy", "safetensors", "save")
    try:
        return package.load_file(os.fspath(path))
    except OSError as error:
        raise checks.refuse(
            "folder", repr(str(path.parent)), f"lacks {path.name} ({error})", "export again"
        ) from None
