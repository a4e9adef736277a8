"""A model, or a memory of its, in one file: safetensors for the arrays, and JSON in its header for
all the rest.

A model's header says which theorem's layers these are, the Spec, the tasks' slots and the layers by
name with their heads' terms. Loading needs no task: certificate and evaluators follow from the
file. Every file has a checksum. The package `safetensors` is imported when it is needed.
"""

import dataclasses
import hashlib
import importlib
import json
import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from construct import checks
from construct.heads import HeadBank
from construct.layers import LayerWeights, MLPWeights, Stack, Support
from construct.readout import module_of
from construct.spec import Spec

FORMAT, VERSION = "superposed-tasks", 1
MATRICES = ("W_Q", "W_K", "W_V", "W_O")


def save(model: Stack, path: str | os.PathLike) -> None:
    """Write a model. Raises ValueError when the path cannot be written or safetensors is
    missing."""
    write("model", path, *_contents(model))


def fingerprint(model: Stack) -> str:
    """A checksum of a model's weights and of all else that its file would hold."""
    tensors, header = _contents(model)
    return _checksum(tensors, json.dumps(header, allow_nan=False))


def _contents(model: Stack) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    tensors: dict[str, np.ndarray] = {}
    layers = []
    for i, layer in enumerate(model.layers):
        for b, bank in enumerate(layer.banks):
            tensors |= {f"{i}.{b}.{name}": _host(getattr(bank, name)) for name in MATRICES}
        if layer.mlp is not None:
            matrices = layer.mlp.matrices
            tensors |= {f"{i}.mlp.{name}": _host(one) for name, one in matrices.items()}
        layers.append(
            {
                "name": layer.name,
                "support": layer.support.name,
                "causal": layer.causal,
                "many_heads": layer.many_heads,
                "banks": [[list(term) for term in bank.terms] for bank in layer.banks],
                "mlp": layer.mlp is not None,
            }
        )
    return tensors, {
        "theorem": model.readout.theorem,
        "version_of_theorem": model.readout.version,
        "spec": dataclasses.asdict(model.spec),
        "slots": list(model.slots),
        "as_built": model.as_built,
        "layers": layers,
    }


def write(
    kind: str, path: str | os.PathLike, tensors: dict[str, np.ndarray], header: dict[str, Any]
) -> None:
    """Write a file of a kind, 'model' or 'memory'. Raises ValueError when the path cannot be
    written or safetensors is missing."""
    text = json.dumps({"version": VERSION} | header, allow_nan=False)
    metadata = {"format": _format(kind), kind: text, "checksum": _checksum(tensors, text)}
    package, name = safetensors(), _text(path)
    try:
        package.numpy.save_file(tensors, name, metadata=metadata)
    except (OSError, package.SafetensorError) as error:
        raise checks.refuse(
            "path", repr(name), f"cannot be written ({error})", "pass another path"
        ) from None


def read(kind: str, path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the header of a file of a kind. Raises ValueError for a file that cannot be
    read, is damaged, of another kind or program, or of a newer version."""
    name = repr(_text(path))
    package = safetensors()
    try:
        with package.safe_open(_text(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, package.SafetensorError) as error:
        raise checks.refuse(
            "path", name, f"is no whole safetensors file ({error})", f"save the {kind} again"
        ) from None
    if metadata.get("format") != _format(kind):
        raise checks.refuse(
            "path", name, f"holds no {kind} of {FORMAT}", f"pass a file that {kind}.save wrote"
        )
    text = metadata.get(kind, "")
    if metadata.get("checksum") != _checksum(tensors, text):
        raise checks.refuse("path", name, "is damaged: its checksum differs", "save it again")
    try:
        header = json.loads(text)
        version = int(header["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(path, error) from None
    if version > VERSION:
        raise checks.refuse(
            "path",
            name,
            f"is of version {version}, and this program reads up to {VERSION}",
            "load it with the newer program",
        )
    return tensors, header


def load(path: str | os.PathLike) -> Any:
    """The model of a file that `save` wrote. Raises ValueError for a file that cannot be read, is
    damaged, of another program, or of a newer version."""
    tensors, header = read("model", path)
    try:
        return _model(tensors, header)
    except ModuleNotFoundError:
        raise checks.refuse(
            "path",
            repr(_text(path)),
            f"is of Theorem {header['theorem']}, which is not known here",
            "load it with the program that knows it",
        ) from None
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        raise damaged(path, error) from None


def damaged(path: Any, error: Exception) -> ValueError:
    """What to say of a file that does not hold what its header says."""
    return checks.refuse(
        "path",
        repr(_text(path)),
        f"does not hold together ({type(error).__name__}: {error})",
        "save it again",
    )


def _model(tensors: dict[str, np.ndarray], header: dict[str, Any]) -> Any:
    """The model of a file's arrays and header."""
    theorem = importlib.import_module(
        module_of(int(header["theorem"]), header.get("version_of_theorem", ""))
    )
    layers = [_layer(i, one, tensors) for i, one in enumerate(header["layers"])]
    spec, slots, built = Spec(**header["spec"]), tuple(header["slots"]), header["as_built"]
    if len(slots) != spec.K or not all(0 <= slot <= spec.n - 2 for slot in slots):
        raise ValueError(f"slots {slots} for K = {spec.K} tasks of n - 1 = {spec.n - 1} inputs")
    if wrong := {str(one.dtype) for one in tensors.values()} - {spec.dtype}:
        raise ValueError(f"arrays of {', '.join(sorted(wrong))} in a model of {spec.dtype}")
    model = theorem.assemble(spec, layers, slots, checked=built)
    for name in model.readout.layers:
        model.layer(name)
    if not built:
        model.forget_built()
    return model


def assembled(model: Stack, layers: Iterable[LayerWeights]) -> Any:
    """The transformer of the same theorem, Spec and slots with other layers; it does not count as
    built."""
    theorem = importlib.import_module(model.readout.module)
    other = theorem.assemble(model.spec, layers, model.slots, checked=False)
    other.forget_built()
    return other


def _text(path: Any) -> str:
    """A path as text. Raises ValueError for what is no path."""
    try:
        return os.fsdecode(path)
    except TypeError:
        raise checks.refuse(
            "path", f"{path!r:.40}", "must be a file's path", "pass a str or a pathlib.Path"
        ) from None


def _format(kind: str) -> str:
    return FORMAT if kind == "model" else f"{FORMAT} {kind}"


def _host(parameter: Any) -> np.ndarray:
    return np.ascontiguousarray(parameter[...])


def _layer(i: int, one: dict[str, Any], tensors: dict[str, np.ndarray]) -> LayerWeights:
    banks = tuple(
        HeadBank(
            *(tensors[f"{i}.{b}.{name}"] for name in MATRICES),
            terms=tuple((term, int(size)) for term, size in terms),
        )
        for b, terms in enumerate(one["banks"])
    )
    mlp = None
    if one["mlp"]:
        W_1, W_2 = (tensors[f"{i}.mlp.{name}"] for name in ("W_1", "W_2"))
        mlp = MLPWeights(W_1, W_2, tensors.get(f"{i}.mlp.W_3"))
    return LayerWeights(
        one["name"], banks, Support[one["support"]], mlp, one["causal"], one["many_heads"]
    )


def _checksum(tensors: dict[str, np.ndarray], text: str) -> str:
    found = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        array = tensors[name]
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def safetensors() -> Any:
    """The package, imported. Raises ValueError where it is missing."""
    try:
        import safetensors
        import safetensors.numpy
    except ModuleNotFoundError:
        raise checks.refuse(
            "path",
            "a model's file",
            "needs the package safetensors",
            "pip install safetensors",
        ) from None
    return safetensors
