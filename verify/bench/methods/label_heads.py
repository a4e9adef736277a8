"""Task recognition and task learning heads (TSLA): which heads write the space of labels, and which
the right label inside it; what happens without them, and when their output is injected.

For a head's output a at the answer token, labels Y with unembeddings W, y* the right one:
TR = ||projection of a on span(W)||, TL = mean over y != y* of a.(w_y* - w_y) / TR, taken as 0 where
TR is 0. Both are summed over prompts; the top 3% of all heads are chosen. Control: as many random
heads of the same layers, none of them chosen.

TSLA credits heads that write labels. A head that writes a code of the task instead is not seen; the
same score with the code's subspace in the place of the labels' finds it, where that is known.
"""

import math
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from verify.bench.material import Material
from verify.bench.stats import interval, projected, span
from verify.bench.subject import NOTHING, Change, Claim, Finding, Run

TITLE = "TSLA: heads that write labels"
TOP = 0.03
CONTROLS = 3
CODES = {1: "z", 3: "w"}  # a theorem's subspace of task codes


def find(material: Material) -> Finding:
    """Scores, the chosen heads, ablations, steering and geometry; for a constructed subject the
    scores in the code's subspace too."""
    subject = material.subject
    count = material.sizes.causal
    TR, TL = np.zeros((2, len(subject.layers), subject.heads))
    for which in (0, 1):
        one = _scores(material, which, count)
        TR, TL = TR + one[0], TL + one[1]
    chosen = {"TR": top(TR), "TL": top(TL)}
    rng = material.rng("controls")
    controls = [_control(chosen, rng, subject.heads, len(subject.layers)) for _ in range(CONTROLS)]
    values = {
        "layers": list(subject.layers),
        "tasks": [material.tasks.names[i] for i in material.pair],
        "TR": TR.tolist(),
        "TL": TL.tolist(),
        "top": {name: [list(head) for head in heads] for name, heads in chosen.items()},
        "ablation": _ablations(material, chosen, controls, count),
        "steering": _steering(material, chosen, controls, count),
        "codes": _codes(material, count),
    }
    return Finding(values, _claims(material, values, TR))


def top(scores: Float[np.ndarray, "L H"]) -> list[tuple[int, int]]:
    """The top 3% of heads, at least one, as (layer, head); none that scores 0."""
    count = max(1, math.ceil(TOP * scores.size))
    order = np.argsort(-scores, axis=None, kind="stable")[:count]
    heads = [(int(i) // scores.shape[1], int(i) % scores.shape[1]) for i in order]
    return [head for head in heads if scores[head] > 0]


def label_scores(
    a: Float[np.ndarray, "P L H D"], W: Float[np.ndarray, "Y D"], right: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """TR and TL of each head, summed over prompts; right (P,): the row of W that is right."""
    TR = projected(a, span(W))
    directions = (W[right] - W.mean(0)) * len(W) / max(len(W) - 1, 1)
    along = np.einsum("plhd,pd->plh", a, directions)
    least = 1e-12 * max(TR.max(), 1e-300)
    TL = np.divide(along, TR, out=np.zeros_like(along), where=least < TR)
    return TR.sum(0), TL.sum(0)


def labels_of(material: Material, which: int) -> list[str]:
    """All that a task of the pair says."""
    family, task = material.tasks.family, material.pair[which]
    rows = family.rows
    if not rows:
        return sorted(family.vocabulary)
    return sorted({family.answers(words)[task] for words in rows})


def _scores(material: Material, which: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    cases = material.pure(which)[0][:count]
    run = material.subject.run(cases, heads="answer")
    labels = labels_of(material, which)
    W = np.asarray(material.subject.unembed(labels), np.float64)
    right = np.array([labels.index(one.answers[material.pair[which]]) for one in cases])
    return label_scores(run.heads.astype(np.float64), W, right)


def _control(
    chosen: dict[str, list[tuple[int, int]]], rng: np.random.Generator, heads: int, layers: int
) -> list[tuple[int, int]]:
    """As many random heads as TR has, of the layers of the chosen ones, none of them chosen."""
    taken = {head for one in chosen.values() for head in one}
    every = [(i, j) for i in range(layers) for j in range(heads) if (i, j) not in taken]
    same = {layer for layer, _ in taken}
    free = [head for head in every if head[0] in same] or every
    count = min(len(chosen["TR"]), len(free))
    return [free[i] for i in rng.choice(len(free), count, replace=False)]


def mask_of(material: Material, heads: list[tuple[int, int]]) -> Float[np.ndarray, "L H"]:
    """Factors that ablate these heads."""
    keep = np.ones((len(material.subject.layers), material.subject.heads))
    for layer, head in heads:
        keep[layer, head] = 0
    return keep


def _ablations(
    material: Material, chosen: dict, controls: list[list[tuple[int, int]]], count: int
) -> dict:
    sets = {"none": [], **chosen} | {f"random {i + 1}": one for i, one in enumerate(controls)}
    return {name: _effect(material, heads, count) for name, heads in sets.items()}


def _effect(material: Material, heads: list[tuple[int, int]], count: int) -> dict:
    """Without these heads: the right answer's probability, the share of prompts whose likeliest
    token begins a label (the TR ratio), accuracy, and the stream's alignment with the labels' span
    and position inside it (rotation)."""
    change = Change(keep=mask_of(material, heads)) if heads else None
    p, ratio, accuracy, alignment, rotation = [], [], [], [], []
    for which in (0, 1):
        cases, task = material.pure(which)[0][:count], material.pair[which]
        run = material.subject.run(cases, change)
        p.append(run.answers[:, task])
        ratio.append(run.top_inside)
        accuracy.append(right_of(run, task))
        labels = labels_of(material, which)
        W = np.asarray(material.subject.unembed(labels), np.float64)
        right = np.array([labels.index(one.answers[task]) for one in cases])
        last = run.at("answer")[:, -1]
        length = projected(last, span(W))
        size = np.linalg.norm(last, axis=1)
        alignment.append(length / np.where(size > 0, size, 1))
        inside = (last * (W[right] - W.mean(0))).sum(1)
        rotation.append(inside / np.where(length > 0, length, 1))
    parts = (p, ratio, accuracy, alignment, rotation)
    names = ("p", "TR_ratio", "accuracy", "alignment", "rotation")
    return {n: interval(np.concatenate(x).astype(float)) for n, x in zip(names, parts, strict=True)}


def right_of(run: Run, task: int) -> Bool[np.ndarray, "P"]:
    """Whether a task's answer is the likeliest token. An answer vector that is 0 up to rounding
    answers nothing."""
    return (run.first[:, task] >= run.top) & (run.top > NOTHING)


def _steering(
    material: Material, chosen: dict, controls: list[list[tuple[int, int]]], count: int
) -> dict:
    """Zero-shot prompts with the chosen heads' mean output, summed, added at the answer token of a
    middle layer: the first task's accuracy and probability."""
    layer = max(len(material.subject.layers) // 2, 1)
    run = material.subject.run(material.pure(0)[0][:count], heads="answer")
    mean, task = run.heads.mean(0), material.pair[0]
    found = {}
    for name, heads in {"none": [], **chosen, "random": controls[0]}.items():
        change = None
        if heads:
            vector = np.sum([mean[head] for head in heads], 0)
            change = Change(layer=layer, vector=vector, add=True)
        steered = material.subject.run(material.zero, change)
        found[name] = {
            "accuracy": interval(right_of(steered, task)),
            "p": interval(steered.answers[:, task]),
        }
    return found | {"layer": layer}


def _codes(material: Material, count: int) -> dict | None:
    """The same score with the code's subspace, by place: ||what a head writes there||, summed."""
    model = getattr(material.subject, "model", None)
    if model is None or model.readout.theorem not in CODES:
        return None
    where = model.residual.where(CODES[model.readout.theorem])
    found = {}
    for place in ("answer", "label", "input"):
        score = 0
        for which in (0, 1):
            run = material.subject.run(material.pure(which)[0][:count], heads=place)
            score = score + np.linalg.norm(run.heads[..., where], axis=-1).sum(0)
        found[place] = np.asarray(score).tolist()
    return found


def _claims(material: Material, values: dict, TR: np.ndarray) -> list[Claim]:
    subject: Any = material.subject
    theorem = getattr(subject, "theorem", None)
    if theorem is None:
        return []
    writing = {1: {"superpose"}, 3: {"balance", "open", "correct"}}.get(theorem.number)
    if writing is None:
        return []
    claims = [
        Claim(
            f"TR of {name}", float(TR[i].max()), 0.0, 0.0, "it writes no label at the answer token"
        )
        for i, name in enumerate(subject.layers)
        if name not in writing
    ]
    bound = 2 * subject.error_bound
    if theorem.number == 1:
        claims += [
            # Pure prompts: the mean of one-hot outputs, of norm 1, on each prompt of both tasks.
            Claim(
                "TR of superpose, a prompt",
                float(TR[-1, 0]) / (2 * material.sizes.causal),
                1.0,
                bound,
            ),
            Claim("p without the TR head", values["ablation"]["TR"]["p"][0], 0.0, bound),
        ]
        claims += [
            Claim(f"p without {name}", one["p"][0], 1.0, bound, "the other heads there idle")
            for name, one in values["ablation"].items()
            if name.startswith(("none", "random"))
        ]
    return claims


def draw(axis: Any, values: dict) -> None:
    """What ablations do to the answer's probability and to the TR ratio."""
    from verify import plots

    names = list(values["ablation"])
    for j, (key, label) in enumerate((("p", "right answer"), ("TR_ratio", "TR ratio"))):
        mean, low, high = np.array([values["ablation"][name][key] for name in names]).T
        x = np.arange(len(names)) + (j - 0.5) * 0.38
        axis.bar(
            x,
            mean,
            0.36,
            yerr=(np.maximum(mean - low, 0), np.maximum(high - mean, 0)),
            color=plots.PALETTE[j],
            label=label,
            error_kw={"linewidth": 0.8},
        )
    axis.set_xticks(range(len(names)), names, rotation=30, fontsize=7)
    axis.set_ylim(0, 1.15)
    axis.set_xlabel("heads ablated")
    axis.legend(frameon=False, fontsize=6, ncols=2)
