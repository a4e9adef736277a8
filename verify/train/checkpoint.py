"""A trained decoder in one safetensors file: the weights, and in its header the run, where it ended
and its curve."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from construct import checks
from construct.saved import safetensors
from verify.decoder import Decoder
from verify.train.loop import Progress, Run

FORMAT = "superposed-tasks decoder"


class Checkpoint(NamedTuple):
    """What a file holds."""

    run: Run
    decoder: Decoder
    progress: Progress


def save(path: Path, kept: Checkpoint) -> None:
    """Write a checkpoint. Raises ValueError where safetensors is missing."""
    about = {"run": kept.run.as_json(), "progress": asdict(kept.progress)}
    write(path, FORMAT, kept.decoder.weights, about)


def load(path: Path) -> Checkpoint:
    """The checkpoint of a file. Raises ValueError for a file that `save` did not write."""
    weights, about = read(path, FORMAT)
    run = Run.of(about["run"])
    return Checkpoint(run, Decoder(run.shape, weights), Progress(**about["progress"]))


def write(path: Path, form: str, arrays: Mapping[str, Any], about: dict[str, Any]) -> None:
    """Write arrays and plain values as a file of a form. Raises ValueError where safetensors is
    missing."""
    package = safetensors()
    metadata = {"format": form, "about": json.dumps(about)}
    path.parent.mkdir(parents=True, exist_ok=True)
    held = {name: np.asarray(value) for name, value in arrays.items()}
    package.numpy.save_file(held, path, metadata=metadata)
    path.chmod(0o644)  # the package writes for the owner alone


def read(path: Path, form: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and plain values of a file of a form. Raises ValueError for another file."""
    package = safetensors()
    try:
        with package.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, package.SafetensorError) as error:
        raise checks.refuse(
            "checkpoint",
            repr(str(path)),
            f"is no whole safetensors file ({error})",
            "train it again: python -m verify.train",
        ) from None
    if metadata.get("format") != form:
        raise checks.refuse(
            "checkpoint", repr(str(path)), f"holds no {form}", "pass one of verify.train"
        )
    return arrays, json.loads(metadata["about"])
