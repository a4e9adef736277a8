"""What the explorer shows, as plain values: lemmas in words, residual streams, attention, tasks,
errors and bounds.

Everything comes from the theorem and its transformer: layers, heads, subspaces, masks. The streams
are stored as what each layer changed. Cells and weights are [flat index, value] lists in row-major
order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from construct import FeatureMap, Spec, Transformer
from construct.layout import AnyPrompt
from verify import cli
from verify.check import Lemma, answer_error, check_lemmas
from verify.explorer.layers import describe
from verify.explorer.tasks import Scene, view_of
from verify.record import Theorem
from verify.report import recovered_weights

# Attention below one unit is dropped, the rest is a whole number of units; streams keep 5
# significant digits.
WEIGHT_UNIT = 1e-6
DIGITS = 5
# Errors below this are no rounding of a float64 near 1, nor worth a stretch of the log axis.
LEAST_DRAWN = 1e-18
MOST_PROMPTS = 5
MOST_TOKENS = 200


@dataclass(frozen=True, eq=False)
class Subject:
    """What to explore: tasks with their Spec, and up to five prompts with titles.

    names: of the tasks. words: of the coordinates of vectors, where they are words. tokens: for
    each prompt what its tokens are called, after their position. origin: what the tasks are, for
    messages.
    """

    spec: Spec
    tasks: Sequence[Any]
    feature_map: FeatureMap | None
    names: Sequence[str]
    titles: Sequence[str]
    prompts: Sequence[AnyPrompt]
    words: Sequence[str] = ()
    tokens: Sequence[Sequence[str]] = ()
    origin: str = "random tasks"


def collect(theorem: Theorem, subject: Subject) -> dict[str, Any]:
    """Build the transformer, trace every prompt, and gather all that the page shows.

    Raises ValueError for a prompt that is too long or outside the theorem's hypotheses, and for
    tasks that it cannot perform.
    """
    spec = subject.spec
    longest = max(prompt.tokens for prompt in subject.prompts)
    if longest > MOST_TOKENS:
        raise ValueError(
            f"a prompt has {longest} tokens; the page can show at most {MOST_TOKENS}: drop examples"
        )
    try:
        model = theorem.build(spec, subject.tasks, subject.feature_map)
    except ValueError as error:
        raise ValueError(
            f"Theorem {theorem.number} cannot perform {subject.origin}: {error}"
        ) from error
    scenes = [_scene(theorem, subject, model, i) for i in range(len(subject.prompts))]
    # A coordinate that is 0 at every token of every layer, such as a word that does not occur, is
    # left out.
    used = np.any(
        [stream.any(0) for scene in scenes for stream in scene.trace.streams.values()], axis=0
    )
    parts = zip(model.layers, theorem.layers, theorem.lemmas, strict=True)
    layers = [
        describe(i, layer, model.residual, *modules) for i, (layer, *modules) in enumerate(parts, 1)
    ]
    view = view_of(model.residual)
    report = {
        "theorem": _theorem(theorem, spec),
        "parameters": {
            "K": spec.K,
            "d": spec.d,
            "m": spec.m,
            "n": spec.n,
            "features": spec.features,
            "dtype": spec.dtype,
        },
        "embedding_dim": model.residual.dim,
        "aliases": dict(model.residual.aliases),
        "coldness": theorem.derive(spec).T,
        "tasks": [{"name": name} for name in subject.names],
        "columns": [
            column
            for column, is_used in zip(_columns(subject, model), used, strict=True)
            if is_used
        ],
        "layers": layers,
        "committed": _committed(layers),
        "view": {"subspace": view.subspace, "title": view.title, "note": view.note},
        "weight_unit": WEIGHT_UNIT,
        "least_drawn": LEAST_DRAWN,
    }
    report["prompts"] = [
        _prompt(subject, theorem, model, scene, i, used, layers) for i, scene in enumerate(scenes)
    ]
    report["holds"] = all(prompt["holds"] for prompt in report["prompts"])
    return report


def _committed(layers: list[dict[str, Any]]) -> int:
    """The layer from which on it is decided which examples count: the first that writes ok."""
    return next(
        layer["number"] for layer in layers if "ok" in layer["heads_write"] + layer["mlp_writes"]
    )


def _theorem(theorem: Theorem, spec: Spec) -> dict[str, Any]:
    """The theorem in words, with this Spec's figures."""
    return {
        "number": theorem.number,
        "source": theorem.source,
        "statement": theorem.statement,
        "hypotheses": list(theorem.hypotheses),
        "figures": {"R": spec.radius, "rho": spec.tolerance, "delta": spec.margin},
        "gains": _figures(theorem.derive(spec)),
        "width_bound": theorem.width_bound(spec),
        "width_formula": theorem.width_formula(spec),
    }


def _figures(gains: Any) -> dict[str, float]:
    """The numbers among a theorem's gains by name; those of a series too, its coefficients counted
    from 1."""
    found = {}
    for field in fields(gains):
        value = getattr(gains, field.name)
        if is_dataclass(value):
            found |= _figures(value)
        elif isinstance(value, float) and np.isfinite(value):
            found[field.name] = value
        elif isinstance(value, tuple) and all(isinstance(one, float) for one in value):
            found |= {f"{field.name}_{i}": one for i, one in enumerate(value, 1)}
    return found


def _scene(theorem: Theorem, subject: Subject, model: Transformer, index: int) -> Scene:
    """A prompt's trace, and what the definition says of it. Raises ValueError if it is outside the
    hypotheses."""
    spec, prompt = subject.spec, subject.prompts[index]
    try:
        verdict = theorem.judge(spec, subject.tasks, prompt, subject.feature_map)
        trace = model.trace(prompt)
    except ValueError as error:
        raise ValueError(f"{subject.titles[index]}: {error}") from error
    said = [
        _said(subject, int(task), explains)
        for task, explains in zip(trace.answer.recognized, verdict.explains.T, strict=True)
    ]
    return Scene(spec, subject.names, trace, verdict, said)


def _columns(subject: Subject, model: Transformer) -> list[dict[str, str]]:
    """By coordinate of the stream, its subspace and its own name: contents have a word a
    coordinate, a task vector a task."""
    named = dict.fromkeys(("w", "g", "c", "omega"), subject.names) | (
        dict.fromkeys(("x", "y", "q"), subject.words) if subject.words else {}
    )
    columns = []
    for name in model.residual.names:
        size = model.residual.size(name)
        numbered = [name] if size == 1 else [f"{name}[{i}]" for i in range(size)]
        labels = [f"{name}: {label}" for label in named[name]] if name in named else numbered
        columns += [{"subspace": name, "label": label} for label in labels]
    return columns


def _prompt(
    subject: Subject,
    theorem: Theorem,
    model: Transformer,
    scene: Scene,
    index: int,
    used: np.ndarray,
    layers: list[dict[str, Any]],
) -> dict[str, Any]:
    spec, prompt, trace, verdict = subject.spec, subject.prompts[index], scene.trace, scene.verdict
    answer, view = trace.answer, view_of(model.residual)
    lemmas = check_lemmas(theorem, model, subject.tasks, prompt, subject.feature_map, trace=trace)
    error, bound = (
        answer_error(answer.vector, verdict.vector),
        theorem.proof.error_bound(
            spec, prompt, tasks=subject.tasks, feature_map=subject.feature_map
        ),
    )
    steps = [stream[:, used] for stream in trace.streams.values()]
    weights = recovered_weights(answer, verdict.outputs)
    right = bool((answer.recognized == verdict.recognized).all())
    return {
        "title": subject.titles[index],
        "tokens": list(subject.tokens[index] if subject.tokens else trace.tokens),
        "steps": [_changed(np.zeros_like(steps[0]), steps[0])]
        + [_changed(before, after) for before, after in pairwise(steps)],
        # A head whose weights are 0 reads all tokens alike: N^2 numbers that say nothing.
        "attention": [
            [_sparse(head) if i in layer["heads"] else [[], []] for i, head in enumerate(heads)]
            for layer, heads in zip(layers, trace.attention.values(), strict=True)
        ],
        "frames": [
            view.frame(scene, layer, step >= _committed(layers))
            for step, layer in enumerate(trace.streams)
        ],
        "examples": [
            {
                "recognized": None if task < 0 else int(task),
                "explained_by": [int(i) for i in np.flatnonzero(verdict.explains[:, j])],
                "said": scene.said[j],
            }
            for j, task in enumerate(answer.recognized)
        ],
        "counts": answer.counts.tolist(),
        "prevalence": answer.prevalence.tolist(),
        "weights": None if weights is None else weights.tolist(),
        "answer": _answer(subject, answer.vector),
        "message": answer.message,
        "lemmas": [_lemma(lemma) for lemma in lemmas],
        "max_error": cli.finite(error),
        "error_bound": cli.finite(bound),
        "recognized_right": right,
        "holds": bool(right and error <= bound and all(lemma.holds for lemma in lemmas)),
    }


def _said(subject: Subject, task: int, explains: np.ndarray) -> str:
    """What became of an example: its task, or why it does not count."""
    if task >= 0:
        return subject.names[task]
    return (
        f"abstained: {explains.sum()} tasks explain it"
        if explains.any()
        else "abstained: no task explains it"
    )


def _lemma(lemma: Lemma) -> dict[str, Any]:
    return {
        "subspace": lemma.subspace,
        "observed": cli.finite(lemma.observed),
        "bound": cli.finite(lemma.bound),
        "within": bool(lemma.observed <= lemma.bound),
        "least_gap": cli.finite(lemma.least_gap),
        "required_gap": cli.finite(lemma.required_gap),
        "faults": list(lemma.faults),
        "holds": bool(lemma.holds),
    }


def _answer(subject: Subject, vector: np.ndarray) -> list[dict[str, Any]]:
    likely = [int(i) for i in np.argsort(-np.abs(vector), kind="stable")[:8] if vector[i]]
    names = subject.words or [f"y[{i}]" for i in range(len(vector))]
    return [{"coordinate": names[i], "value": float(vector[i])} for i in likely]


def _rounded(array: np.ndarray) -> list[Any]:
    return np.vectorize(lambda value: float(f"{value:.{DIGITS}g}"), otypes=[float])(array).tolist()


def _changed(before: np.ndarray, after: np.ndarray) -> list[list[Any]]:
    where = np.flatnonzero(before != after)
    return [where.tolist(), _rounded(after.ravel()[where]) if len(where) else []]


def _sparse(weights: np.ndarray) -> list[list[int]]:
    units = np.rint(weights.ravel().astype(np.float64) / WEIGHT_UNIT).astype(int)
    where = np.flatnonzero(units)
    return [where.tolist(), units[where].tolist()]
