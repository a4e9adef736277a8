"""A trained decoder in one safetensors file: the weights, and in its header the run, where it ended
and its curve."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

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
    package = safetensors()
    arrays = {name: np.asarray(value) for name, value in kept.decoder.weights.items()}
    about = {"run": kept.run.as_json(), "progress": asdict(kept.progress)}
    metadata = {"format": FORMAT, "about": json.dumps(about)}
    path.parent.mkdir(parents=True, exist_ok=True)
    package.numpy.save_file(arrays, path, metadata=metadata)
    path.chmod(0o644)  # the package writes for the owner alone


def load(path: Path) -> Checkpoint:
    """The checkpoint of a file. Raises ValueError for a file that `save` did not write."""
    package = safetensors()
    try:
        with package.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, package.SafetensorError) as error:
        raise checks.refuse(
            "checkpoint",
            repr(str(path)),
            f"is no whole safetensors file ({error})",
            "train it again: python -m verify.train",
        ) from None
    if metadata.get("format") != FORMAT:
        raise checks.refuse(
            "checkpoint", repr(str(path)), f"holds no {FORMAT}", "pass one of verify.train"
        )
    about = json.loads(metadata["about"])
    run = Run.of(about["run"])
    return Checkpoint(run, Decoder(run.shape, weights), Progress(**about["progress"]))
