"""Hold a checkpoint that came back against its theorem: its weights, its lemmas on the prompts that
were kept beside it, its answers."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from construct import FeatureMap, Prompt, Spec, Task, checks
from construct.export import load_exported
from construct.export.back import read_tensors
from construct.export.checkpoint import save_tensors
from construct.words import WordPrompt, WordTask
from verify.export.request import Request
from verify.report import Report
from verify.theorem import ALL
from verify.verification import verify

KEPT = "check.safetensors"


@dataclass(frozen=True, eq=False)
class Kept:
    """Tasks with their Spec, as they were kept beside a checkpoint."""

    spec: Spec
    tasks: list[Any]
    feature_map: FeatureMap | None


@dataclass(frozen=True, eq=False)
class Verdict:
    """What still holds: the report of the lemmas, and what of the state dict is no part of the
    theorem's transformer any more."""

    report: Report
    strays: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Every lemma and every answer, and nothing strayed."""
        return self.report.holds and not self.strays

    @property
    def lemmas(self) -> dict[str, bool]:
        """By layer, whether its lemma still holds."""
        return {lemma.name: lemma.holds for lemma in self.report.lemmas}


def keep(request: Request, folder: Path, prompts: list[Any], streams: list[np.ndarray]) -> None:
    """Write the tasks and these prompts beside a checkpoint; streams: of each, as the checkpoint's
    model takes it in."""
    tensors: dict[str, np.ndarray] = {}
    for i, task in enumerate(request.tasks):
        tensors[f"task.{i}.slot"] = np.array([task.slot])
        if isinstance(task, WordTask):
            tensors[f"task.{i}.words"] = task.words
        else:
            tensors |= {f"task.{i}.weight": task.weight, f"task.{i}.bias": task.bias}
    if request.feature_map is not None:
        tensors |= {
            "features.weight": request.feature_map.weight,
            "features.bias": request.feature_map.bias,
        }
    for i, (prompt, stream) in enumerate(zip(prompts, streams, strict=True)):
        labels = "answers" if isinstance(prompt, WordPrompt) else "labels"
        for name in ("inputs", labels, "query"):
            tensors[f"prompt.{i}.{name}"] = getattr(prompt, name)
        tensors[f"prompt.{i}.embeds"] = stream
    save_tensors(tensors, folder / KEPT)


def _kept(folder: Path, spec: Spec) -> tuple[Kept, list[Any]]:
    tensors = read_tensors(folder / KEPT)
    tasks: list[Any] = []
    for i in range(spec.K):
        slot = int(tensors[f"task.{i}.slot"][0])
        if f"task.{i}.words" in tensors:
            tasks.append(WordTask(slot, tensors[f"task.{i}.words"]))
        else:
            tasks.append(Task(slot, tensors[f"task.{i}.weight"], tensors[f"task.{i}.bias"]))
    feature_map = None
    if "features.weight" in tensors:
        feature_map = FeatureMap(tensors["features.weight"], tensors["features.bias"])
    prompts: list[Any] = []
    while f"prompt.{len(prompts)}.inputs" in tensors:
        part = {
            name: tensors.get(f"prompt.{len(prompts)}.{name}")
            for name in ("inputs", "labels", "answers", "query")
        }
        if part["answers"] is not None:
            prompts.append(WordPrompt(part["inputs"], part["answers"], part["query"]))  # pyright: ignore
        else:
            prompts.append(Prompt(part["inputs"], part["labels"], part["query"]))  # pyright: ignore
    return Kept(spec, tasks, feature_map), prompts


def check_returned(
    folder: str | os.PathLike, state_dict: Mapping[str, Any] | None = None
) -> Verdict:
    """Verify the checkpoint in a folder, or a state dict of its shape, against the lemmas of its
    theorem. Raises ValueError where it is none."""
    returned = load_exported(folder, state_dict)
    model, path = returned.model, Path(folder)
    if not (path / KEPT).is_file():
        raise checks.refuse(
            "folder",
            repr(str(path)),
            f"lacks {KEPT}, the tasks and prompts to verify with",
            "pass a folder that python -m verify.export wrote",
        )
    kept, prompts = _kept(path, model.spec)
    report = verify(ALL[model.readout.theorem], kept, prompts, model=model)
    return Verdict(report, returned.strays)
