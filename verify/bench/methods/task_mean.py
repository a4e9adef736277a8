"""Patching another task's mean: prompts of one task, with the other's mean stream at the answer
token, or with the difference of the means added at all labels.

Labels keep what tells them apart (their words and positions) when a difference is added; replaced
by a mean they would not.
"""

from typing import Any

import numpy as np

from verify.bench.material import Material
from verify.bench.stats import interval
from verify.bench.subject import TARGETS, Change, Claim, Finding

TITLE = "Patching another task's mean"


def find(material: Material) -> Finding:
    """By target and layer: the probability of the prompt's own task and of the other."""
    count = material.sizes.causal
    rows = []
    for target in TARGETS:
        for layer in material.tried_layers():
            own, other = [], []
            for which in (0, 1):
                cases = material.pure(which)[0][:count]
                change = _change(material, target, layer, which)
                p = material.subject.run(cases, change).answers
                own.append(p[:, material.pair[which]])
                other.append(p[:, material.pair[1 - which]])
            rows.append(
                {
                    "target": target,
                    "layer": layer,
                    "own": interval(np.concatenate(own)),
                    "other": interval(np.concatenate(other)),
                }
            )
    plain = np.concatenate(
        [material.pure(which)[1].answers[:count, material.pair[which]] for which in (0, 1)]
    )
    values = {
        "rows": rows,
        "plain": interval(plain),
        "layers": list(material.subject.layers),
        "tasks": [material.tasks.names[i] for i in material.pair],
    }
    return Finding(values, _claims(material, rows))


def _change(material: Material, target: str, layer: int, which: int) -> Change:
    """What turns a prompt of the pair's task `which` into the other."""
    place = "answer" if target == "answer" else "label"
    other = material.mean(1 - which, place)[layer]
    if target == "answer":
        return Change(layer=layer, vector=other)
    step = other - material.mean(which, place)[layer]
    return Change(layer=layer, vector=step, add=True, target="labels")


# By theorem and target, after which layers the theorem says what happens, and whether the other
# task then takes over. Before a code is there its mean is the same for both tasks; later layers
# hold what the query said, whose mean belongs to no query.
KNOWN = {
    (1, "answer"): {"recognize": 0.0, "commit": 0.0, "fetch": 0.0, "execute": 0.0},
    (1, "labels"): {"recognize": 0.0, "commit": 1.0},
    (3, "answer"): {"recognize": 0.0, "tally": 1.0},
    (3, "labels"): {"recognize": 1.0, "tally": 0.0, "balance": 0.0, "open": 0.0, "correct": 0.0},
}


def _claims(material: Material, rows: list[dict]) -> list[Claim]:
    theorem = getattr(material.subject, "theorem", None)
    if theorem is None:
        return []
    bound = 2 * material.subject.error_bound  # pyright: ignore[reportAttributeAccessIssue]
    claims = []
    for row in rows:
        layer = material.subject.layers[row["layer"] - 1]
        taken = KNOWN.get((theorem.number, row["target"]), {}).get(layer)
        if taken is not None:
            name = f"{row['target']} after {layer}"
            claims += [
                Claim(f"{name}: own task", row["own"][0], 1 - taken, bound),
                Claim(f"{name}: other task", row["other"][0], taken, bound),
            ]
    return claims


def draw(axis: Any, values: dict) -> None:
    """The other task's probability by layer, for both targets; dashed: the own task's."""
    from verify import plots

    for target, color, marker in zip(TARGETS, plots.PALETTE, plots.MARKERS, strict=False):
        rows = [row for row in values["rows"] if row["target"] == target]
        layers = [row["layer"] for row in rows]
        for key, style in (("other", "-"), ("own", "--")):
            p = np.array([row[key][0] for row in rows], float)
            p[np.abs(p - 0.5) > 0.6] = np.nan  # no probability: a patched answer need be none
            axis.plot(
                layers, p, style, marker=marker, ms=3, color=color, label=f"{key} task, at {target}"
            )
    if len(values["layers"]) < 12:
        axis.set_xticks(
            range(1, len(values["layers"]) + 1), values["layers"], rotation=45, fontsize=7
        )
    else:
        axis.set_xlabel("layer")
    axis.set_ylim(-0.03, 1.03)
    axis.set_ylabel("probability")
    axis.legend(frameon=False, fontsize=6)
