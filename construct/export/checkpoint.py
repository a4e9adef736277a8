"""A checkpoint: the tensors and files that another tool loads, and what is needed to come back."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from construct import checks
from construct.export.norms import Frame
from construct.floats import DTYPES
from construct.layers import in_dtype
from construct.saved import save
from construct.truth import truth

# More than this is refused: hosts are dense, and nobody wants a gigabyte of zeros.
LARGEST = 500_000_000
WEIGHTS, CONFIG, THEOREM, TRUTH = (
    "model.safetensors",
    "config.json",
    "theorem.safetensors",
    "truth.json",
)


@dataclass(frozen=True)
class Shape:
    """The sizes of a host: `width` of the stream, `heads` of `head_dim` in each of `layers`,
    `neurons` of each MLP, rows of the embedding tables (positions, tokens) and of the head
    (outputs); gated: MLPs have three matrices, and not two."""

    layers: int
    width: int
    heads: int
    head_dim: int
    neurons: int
    positions: int
    tokens: int
    outputs: int
    gated: bool = False

    @property
    def numbers(self) -> int:
        """How many numbers the host stores, biases and norms left out."""
        block = 4 * self.heads * self.head_dim + (3 if self.gated else 2) * self.neurons
        tables = self.positions + self.tokens + self.outputs
        return self.width * (self.layers * block + tables)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A transformer as another tool has it.

    target: the tool. tensors: by the tool's names. config: the tool's. texts: further files by
    name. places: the tool's names of a layer's places, by ours, as `named` fills them in: block i
    is layer i. frame: how its stream holds the theorem's.
    """

    target: str
    model: Any
    tensors: dict[str, np.ndarray]
    config: dict[str, Any]
    places: Mapping[str, str]
    frame: Frame
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """The size of the tensors, or of the model's own where it is exported as it is."""
        tensors = self.tensors.values() if self.tensors else leaves(self.model)
        return sum(tensor.nbytes for tensor in tensors)

    def truth(self) -> dict[str, Any]:
        """The answer key with the tool's names: of each layer's places, and of each head."""
        key = truth(self.model)
        found = key.as_json() | {"target": self.target, "tokens": self._tokens()}
        # Coordinate c of a subspace is coordinate start + c of the host's stream and, where that
        # holds a second copy, the negative of start + dim + c.
        found["stream"] = {
            "start": self.frame.start,
            "dim": self.frame.dim,
            "copies": self.frame.copies,
            "width": self.frame.width,
        }
        for layer, plain in zip(key.layers, found["layers"], strict=True):
            plain["places"] = {
                name: place.format(layer=layer.index, name=layer.name)
                for name, place in self.places.items()
            }
        return found

    def named(self, place: str, layer: str) -> str:
        """The tool's name of a place of a layer, such as named("pattern", "fetch"). Raises
        ValueError for a place that the tool has not."""
        if place not in self.places:
            raise checks.refuse(
                "place",
                repr(place),
                f"must be a place of {self.target}",
                f"use one of {', '.join(self.places)}",
            )
        names = [one.name for one in self.model.layers]
        self.model.layer(layer)
        return self.places[place].format(layer=names.index(layer), name=layer)

    def embeds(self, prompt: Any) -> Float[np.ndarray, "N width"]:
        """A prompt's stream before the first layer, as this checkpoint's model takes it: for
        `inputs_embeds`, or to start at layer 0. Raises ValueError for a prompt that is outside the
        theorem's hypotheses."""
        model, layout = self.model, self.model.readout.layout
        layout.check(model.spec, prompt, "prompt", model.gains.input_radius)
        with in_dtype(model.spec.dtype):
            batch = layout.batch_of([prompt], model.spec)
            one = type(batch)(*(part[0] for part in batch))
            padded, _ = layout.embed(one, model.residual, model.spec.m)
        stream = np.asarray(padded)[layout.own_rows(batch, 0)]
        wide = np.zeros((len(stream), self.frame.dim), stream.dtype)
        wide[:, : stream.shape[1]] = stream
        return self.frame.hold(wide) + self.frame.constants().astype(stream.dtype)

    def _tokens(self) -> dict[str, Any]:
        spec = self.model.spec
        return {
            "positions": "BOS, m examples of n tokens, the query's n - 1 inputs, the answer token",
            "m": spec.m,
            "n": spec.n,
        }

    def save(self, folder: str | os.PathLike) -> Path:
        """Write everything into a folder, which is made if it is not there. Raises ValueError when
        it cannot be written or safetensors is missing."""
        path = Path(folder)
        try:
            path.mkdir(parents=True, exist_ok=True)
            if self.tensors:
                save_tensors(self.tensors, path / WEIGHTS)
            save(self.model, path / THEOREM)
            for name, text in self._files():
                (path / name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise checks.refuse(
                "folder", repr(str(path)), f"cannot be written ({error.strerror})", "pass another"
            ) from None
        return path

    def _files(self) -> Iterator[tuple[str, str]]:
        if self.config:
            yield CONFIG, json.dumps(self.config, indent=2) + "\n"
        yield TRUTH, json.dumps(self.truth(), indent=1) + "\n"
        yield from self.texts.items()


def save_tensors(tensors: Mapping[str, np.ndarray], path: Path) -> None:
    """Write tensors as the tools' own files are (their metadata says "pt")."""
    package = checks.package("safetensors.numpy", "safetensors", "save")
    whole = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    package.save_file(whole, os.fspath(path), metadata={"format": "pt"})


def check_size(shape: Shape, dtype: str, way_out: str) -> int:
    """The size in bytes of a checkpoint of this shape. Raises ValueError above 500 MB."""
    size = shape.numbers * np.dtype(dtype).itemsize
    if size > LARGEST:
        raise checks.refuse(
            "size",
            megabytes(size),
            f"must be at most {megabytes(LARGEST)}: {shape.layers} dense layers of width "
            f"{shape.width} with {shape.heads} heads of {shape.head_dim} and {shape.neurons} "
            "neurons",
            way_out,
        )
    return size


def megabytes(size: int) -> str:
    """A size in words."""
    return f"{size / 1e6:.3g} MB"


def check_dtype(dtype: str, model: Any) -> None:
    """Refuse a dtype in which the weights are not the theorem's: the model's own is the one."""
    spec = model.spec
    if dtype == spec.dtype:
        return
    if dtype in DTYPES:
        raise checks.refuse(
            "dtype",
            dtype,
            f"must be the model's own, {spec.dtype}, from which its gains are derived",
            f"build it with dtype={dtype!r}",
        )
    largest = max(float(np.abs(leaf).max()) for leaf in leaves(model))
    raise checks.refuse(
        "dtype",
        repr(dtype),
        f"cannot hold these weights: the largest is {largest:.6g}, scores reach "
        f"{model.gains.T:.4g} times the codes' length, and ties need every bit of a {spec.dtype}",
        f"leave it at {spec.dtype}",
    )


def leaves(model: Any) -> Iterator[np.ndarray]:
    """All stored matrices."""
    for layer in model.layers:
        for bank in layer.banks:
            yield from (np.asarray(one[...]) for one in (bank.W_Q, bank.W_K, bank.W_V, bank.W_O))
        if layer.mlp is not None:
            yield from (np.asarray(one[...]) for one in (layer.mlp.W_1, layer.mlp.W_2))
