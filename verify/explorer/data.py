"""What the explorer shows, as plain values: lemmas in words, residual streams, attention, task codes, errors and bounds.

The streams are stored as what each layer changed. Cells and weights are [flat index, value] lists in row-major order.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from construct import FeatureMap, Prompt, Spec, Task, build
from construct.answer import Trace
from construct.residual import task_codes
from construct.theorem1 import SEVEN as BUILT
from construct.theorem1.gains import derive
from proofs import theorem1 as proof
from verify import cli
from verify.oracle import Verdict, judge
from verify.theorem1.check import answer_error, check_prompt
from verify.theorem1.report import recovered_weights

# Attention below one unit is dropped, the rest is a whole number of units; streams keep 5 significant digits.
WEIGHT_UNIT = 1e-6
DIGITS = 5
MOST_PROMPTS = 5
MOST_TOKENS = 200


@dataclass(frozen=True, eq=False)
class Subject:
    """What to explore: tasks with their Spec, and up to five prompts of equal size with titles.

    names: of the tasks. words: of the coordinates of x and y, where they are words. tokens: for each prompt what its tokens
    are called, after their position.
    """

    spec: Spec
    tasks: Sequence[Task]
    feature_map: FeatureMap | None
    names: Sequence[str]
    titles: Sequence[str]
    prompts: Sequence[Prompt]
    words: Sequence[str] = ()
    tokens: Sequence[Sequence[str]] = ()


def collect(subject: Subject) -> dict[str, Any]:
    """Build the transformer, trace every prompt, and gather all that the page shows. Raises ValueError for a long prompt."""
    spec = subject.spec
    longest = max(prompt.tokens for prompt in subject.prompts)
    if longest > MOST_TOKENS:
        raise ValueError(f"a prompt has {longest} tokens; the page can show at most {MOST_TOKENS}: drop examples")
    model = build(spec, subject.tasks, subject.feature_map)
    traces = [model.trace(prompt, enforce=False) for prompt in subject.prompts]
    verdicts = [
        judge(subject.tasks, prompt, spec.tolerance, spec.margin, subject.feature_map, spec.sum_slot) for prompt in subject.prompts
    ]
    # A coordinate that is 0 at every token of every layer, such as a word that does not occur, is left out.
    used = np.flatnonzero(np.any([stream.any(0) for trace in traces for stream in trace.streams.values()], axis=0))
    coordinates = [_coordinates(subject, name, model.residual.size(name)) for name in model.residual.names]
    labels = [label for part in coordinates for label in part]
    owner = [name for name, part in zip(model.residual.names, coordinates, strict=True) for _ in part]
    report = {
        "parameters": {"K": spec.K, "d": spec.d, "m": spec.m, "n": spec.n, "features": spec.features, "dtype": spec.dtype},
        "embedding_dim": model.residual.dim,
        "coldness": derive(spec).T,
        "tasks": [{"name": name, "code": code.tolist()} for name, code in zip(subject.names, task_codes(spec.K), strict=True)],
        "columns": [{"subspace": owner[i], "label": labels[i]} for i in used],
        "layers": [_words(number, *modules) for number, modules in enumerate(zip(BUILT, proof.SEVEN, strict=True), 1)],
        "weight_unit": WEIGHT_UNIT,
        "prompts": [
            _prompt(
                subject,
                i,
                trace,
                verdict,
                check_prompt(model, subject.tasks, subject.prompts[i], subject.feature_map, trace=trace),
                used,
            )
            for i, (trace, verdict) in enumerate(zip(traces, verdicts, strict=True))
        ],
    }
    report["holds"] = all(prompt["holds"] for prompt in report["prompts"])
    return report


def _coordinates(subject: Subject, name: str, size: int) -> list[str]:
    if subject.words and name in ("x", "y"):
        return [f"{name}: {word}" for word in subject.words]
    return [name] if size == 1 else [f"{name}[{i}]" for i in range(size)]


def _words(number: int, layer: Any, lemma: Any) -> dict[str, Any]:
    """A layer in words and formulas, from the docstrings of its weights and of its lemma."""
    built, proved = inspect.getdoc(layer) or "", inspect.getdoc(lemma) or ""
    formula = [line.removeprefix("    ") for line in built.splitlines() if line.startswith("    ")]
    name = layer.__name__.rpartition("_")[2]
    does = built.split("\n\n")[0].replace("\n", " ").partition(": ")[2].partition(" Realizes")[0]
    return {
        "number": number,
        "name": name,
        "does": does[:1].upper() + does[1:],
        "formula": "\n".join(formula),
        "statement": proved.split("\n\n")[0].replace("\n", " "),
        "why": next((part.replace("\n", " ") for part in proved.split("\n\n")[1:]), ""),
    }


def _prompt(
    subject: Subject, index: int, trace: Trace, verdict: Verdict, lemmas: Sequence[Any], used: np.ndarray
) -> dict[str, Any]:
    spec, prompt, answer = subject.spec, subject.prompts[index], trace.answer
    error, bound = answer_error(answer.vector, verdict.vector), proof.error_bound(spec, prompt.tokens)
    steps = [stream[:, used] for stream in trace.streams.values()]
    labels = slice(spec.n, 1 + prompt.examples * spec.n, spec.n)
    weights = recovered_weights(answer.vector, verdict.outputs)
    return {
        "title": subject.titles[index],
        "tokens": list(subject.tokens[index] if subject.tokens else trace.tokens),
        "steps": [_changed(np.zeros_like(steps[0]), steps[0])] + [_changed(before, after) for before, after in pairwise(steps)],
        "attention": [[_sparse(head) for head in heads] for heads in trace.attention.values()],
        "codes": [_rounded(trace.read(name, "z")[labels]) for name in trace.streams],
        "examples": [
            {
                "recognized": None if task < 0 else int(task),
                "explained_by": [int(i) for i in np.flatnonzero(verdict.explains[:, j])],
            }
            for j, task in enumerate(answer.recognized)
        ],
        "counts": answer.counts.tolist(),
        "prevalence": answer.prevalence.tolist(),
        "weights": None if weights is None else weights.tolist(),
        "answer": _answer(subject, answer.vector),
        "message": answer.message,
        "lemmas": [
            {
                "subspace": lemma.subspace,
                "observed": cli.finite(lemma.observed),
                "bound": cli.finite(lemma.bound),
                "least_gap": cli.finite(lemma.least_gap),
                "required_gap": cli.finite(lemma.required_gap),
                "holds": bool(lemma.holds),
            }
            for lemma in lemmas
        ],
        "max_error": cli.finite(error),
        "error_bound": cli.finite(bound),
        "holds": bool(error <= bound and all(lemma.holds for lemma in lemmas)),
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
