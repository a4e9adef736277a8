"""The audit: what each method says of a constructed transformer, scored against its answer key.

The key is `construct.truth`: generated from the stored weights, it says what each head does, where
and for which tasks. Heads and places that a method names are held against those that the key has
for what the method claims to find: precision and recall. Where a claim is graded, the correlation.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from construct.truth import Truth, truth
from verify.bench.methods.label_heads import CODES
from verify.bench.stats import correlation

Head = tuple[int, int]
# A head is named by an effect that is more than this share of the largest.
NAMED = 1e-6


@dataclass(frozen=True)
class Verdict:
    """One method's answer to one question. named, key: how many heads or places; precision, recall:
    None where nothing is named, or nothing is in the key. graded: a correlation, or None. note:
    what the theory says of it."""

    method: str
    question: str
    named: int
    key: int
    precision: float | None
    recall: float | None
    graded: float | None = None
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """The verdict as plain values."""
        return dict(vars(self))


def verdict(
    method: str,
    question: str,
    named: Iterable[Any],
    key: Iterable[Any],
    note: str = "",
    graded: float | None = None,
) -> Verdict:
    """Score a set of names against the key's."""
    named, key = set(named), set(key)
    both = len(named & key)
    return Verdict(
        method,
        question,
        len(named),
        len(key),
        both / len(named) if named else None,
        both / len(key) if key else None,
        graded,
        note,
    )


def beyond(scores: Any, share: float = NAMED) -> set[Head]:
    """The heads whose score is more than a share of the largest, by default than rounding."""
    x = np.abs(np.array(scores, float))
    if not x.size or x.max() == 0:
        return set()
    return {(int(i), int(j)) for i, j in np.argwhere(x > share * x.max())}


class Key:
    """The questions that the key answers, of a model and the two tasks that were mixed. share: of
    the largest effect, from which on a method names a head."""

    def __init__(self, model: Any, pair: tuple[int, int], share: float = NAMED) -> None:
        self.share = share
        self.truth: Truth = truth(model)
        self.code = CODES[self.truth.theorem]
        self.index = {layer.name: layer.index for layer in self.truth.layers}
        self.pair = pair

    def heads(
        self, *, writes: str | None = None, at: str | None = None, mine: bool = False
    ) -> set[Head]:
        """Heads that write a subspace, at tokens of a role; mine: for the pair's tasks alone."""
        return {
            (self.index[head.layer], head.head)
            for head in self.truth.heads()
            if (writes is None or writes in head.writes)
            and (at is None or any(tokens.role == at for tokens in head.at))
            and (not mine or set(head.serves) & set(self.pair))
        }

    def first(self, role: str, *subspaces: str) -> int | None:
        """The first layer, counted from 1, after which tokens of a role hold one of the
        subspaces."""
        found = [
            self.index[layer] + 1
            for layer, at, subspace in self.truth.places()
            if at == role and subspace in subspaces
        ]
        return min(found, default=None)


def audit(
    model: Any, results: dict[str, dict], pair: tuple[int, int], share: float = NAMED
) -> list[Verdict]:
    """Every method's verdict on one subject and set, from the methods' recorded values; share: as
    of a `Key`."""
    key = Key(model, pair, share)
    found: list[Verdict] = []
    for name, judge in JUDGES.items():
        if name in results:
            found += judge(key, results[name]["values"])
    return found


def _label_heads(key: Key, values: dict) -> list[Verdict]:
    TR, top = values["TR"], {tuple(head) for head in values["top"]["TR"]}
    recognizing = key.heads(writes=key.code, mine=True)
    writing = key.heads(writes="y", at="answer")
    codes = set().union(*(beyond(values["codes"][place], key.share) for place in values["codes"]))
    return [
        verdict(
            "TSLA: TR > 0",
            "heads that write labels at the answer token",
            beyond(TR, key.share),
            writing,
        ),
        verdict("TSLA: top 3% by TR", "the same", top, writing, "3% of few heads are one or two"),
        verdict(
            "TSLA: TR > 0",
            "heads that recognize the task",
            beyond(TR, key.share),
            recognizing,
            f"recognition writes the code {key.code}, and no label",
        ),
        verdict(
            "TSLA in the code's subspace",
            "heads that recognize the task",
            codes,
            recognizing,
            "at labels and inputs too, where it happens; the code's place must be known",
        ),
    ]


def _attribution(key: Key, values: dict) -> list[Verdict]:
    tried = {tuple(head) for head in values["heads"]}
    effects = {tuple(h): e for h, e in zip(values["heads"], values["ablation"], strict=True)}
    least = key.share * max(map(abs, effects.values()))
    ablated = {head for head, effect in effects.items() if abs(effect) > least}
    # On prompts of one task alone the other tasks' heads have nothing to do.
    first = (key.pair[0],)
    serving = {
        (key.index[head.layer], head.head)
        for head in key.truth.heads()
        if set(head.serves) & set(first)
    } & tried
    writing = key.heads(writes="y", at="answer")
    arrival = key.first("answer", key.code) or key.first("answer", "y")
    least = key.share * max((abs(row["effect"]) for row in values["patching"]), default=0)
    patched = {row["layer"] for row in values["patching"] if abs(row["effect"]) > least}
    first_order = values["first_order"]
    hard = "a hard softmax has no slope, a cold one hardly any: moved attention is not seen"
    gates = "the gates of other tasks are half open and cancel; without one of them they do not"
    cancel = gates if key.truth.theorem == 3 else ""
    return [
        verdict("ablation", "heads that serve the prompt's task", ablated, serving, cancel),
        verdict(
            "attribution patching",
            "heads that serve the prompt's task",
            beyond(first_order, key.share) & tried,
            serving,
            cancel or hard,
            values["correlation"]["attribution patching"],
        ),
        verdict(
            "direct logit attribution",
            "heads that write labels at the answer token",
            beyond(values["direct"], key.share),
            writing,
            cancel and "of the two tasks that are compared; far too high: what they write cancels",
            values["correlation"]["direct logit attribution"],
        ),
        verdict(
            "activation patching at the answer token",
            "layers after which the task is there",
            patched,
            {row["layer"] for row in values["patching"] if arrival and row["layer"] >= arrival},
        ),
    ]


# Where a place of `verify.bench.subject.PLACES` holds a token of which role.
ROLE_OF = {"answer": "answer", "label": "label", "input": "input", "query": "query"}


def _holding(key: Key, place: str, layers: int) -> set[tuple[str, int]]:
    """The layers after which tokens at a place hold the task's code."""
    first = key.first(ROLE_OF[place], key.code)
    return set() if first is None else {(place, i) for i in range(first, layers)}


def _decodability(key: Key, values: dict) -> list[Verdict]:
    named, wanted = set(), set()
    for place, curve in values["measured"].items():
        named |= {(place, i) for i, score in enumerate(curve) if score >= 0.99}
        wanted |= _holding(key, place, len(curve))
    note = "neighbors weigh all coordinates alike: words drown a code of two coordinates"
    return [verdict("decodability (kNN) >= .99", "places that hold the task", named, wanted, note)]


def _probes(key: Key, values: dict) -> list[Verdict]:
    named, wanted = set(), set()
    for place, curve in values["measured"]["task"].items():
        named |= {(place, i) for i, score in enumerate(curve) if score >= 0.99}
        wanted |= _holding(key, place, len(curve))
    share = {
        (place, i)
        for place, curve in values["measured"]["share"].items()
        for i, score in enumerate(curve)
        if score >= 0.99
    }
    first = key.first("answer", key.code)
    layers = len(values["layers"])
    prevalence = set() if first is None else {("answer", i) for i in range(first, layers)}
    return [
        verdict("linear probe >= .99", "places that hold the task", named, wanted),
        verdict("linear probe, R² >= .99", "places that hold the share", share, prevalence),
    ]


def _task_mean(key: Key, values: dict) -> list[Verdict]:
    near = max(1e-3, key.share)
    named = {
        (row["target"], row["layer"]) for row in values["rows"] if abs(row["other"][0] - 1) < near
    }
    wanted = set()
    # The layers between the one that writes the code and the one that reads it.
    for target, role in (("labels", "label"), ("answer", "answer")):
        first = key.first(role, key.code)
        if first is not None:
            readers = [
                layer.index
                for layer in key.truth.layers
                if layer.index >= first
                and any(
                    key.code in (*head.asks, *head.reads, *head.answers) for head in layer.heads
                )
            ]
            last = min(readers, default=first)
            wanted |= {(target, i) for i in range(first, last + 1)}
    note = "later means hold what the query said, which is no query's"
    return [
        verdict("another task's mean", "places whose code decides the task", named, wanted, note)
    ]


def _positions(key: Key, values: dict) -> list[Verdict]:
    rows = [row for row in values["rows"] if row["position"] is not None]
    graded = (
        correlation(
            np.array([row["share"] for row in rows]), np.array([r["position"][0] for r in rows])
        )
        if len(rows) > 1
        else None
    )
    there = {"answer"} if key.first("answer", key.code) else set()
    named = {"answer"} if graded is not None and graded > 0.99 else set()
    note = "" if there else "no task vector is at the answer token in this theorem"
    return [
        verdict("LDA positions", "a task vector at the answer token", named, there, note, graded)
    ]


def _sweep(key: Key, values: dict) -> list[Verdict]:
    shares = np.array([row["share"] for row in values["rows"]])
    found = np.array([row["first"][0] for row in values["rows"]])
    graded = correlation(shares, found)
    return [verdict("Figure 3", "the answer follows the share", [], [], "", graded)]


JUDGES = {
    "label_heads": _label_heads,
    "attribution": _attribution,
    "decodability": _decodability,
    "probes": _probes,
    "task_mean": _task_mean,
    "positions": _positions,
    "sweep": _sweep,
}
