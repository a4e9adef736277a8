"""The paper's Figure 5: convex combinations of two task vectors in the place of the answer token's
stream of zero-shot prompts, beside prompts that mix the tasks in the same ratio."""

from typing import Any

import numpy as np

from verify.bench.material import MIXED, Material
from verify.bench.stats import interval
from verify.bench.subject import Change, Claim, Finding

TITLE = "Figure 5: interpolating task vectors, and prompts"
STEPS = 9


def find(material: Material) -> Finding:
    """By share: both tasks' probability with the combination patched in at the best layer, and with
    the prompt mixed; by layer, what the pure vectors do."""
    layer, (first, second) = material.best_layer, material.pair
    one, other = (material.mean(which)[layer] for which in (0, 1))
    patched = []
    for share in np.linspace(0, 1, STEPS):
        vector = share * one + (1 - share) * other
        p = material.subject.run(material.zero, Change(layer=layer, vector=vector)).answers
        patched.append(_row(share, p[:, first], p[:, second]))
    prompted = [
        _row(share, *material.mixed[share][1].answers[:, [first, second]].T) for share in MIXED
    ]
    plain = material.subject.run(material.zero).answers
    values = {
        "tasks": [material.tasks.names[i] for i in material.pair],
        "layer": layer,
        "layer_name": material.subject.layers[layer - 1],
        "patched": patched,
        "prompted": prompted,
        "zero_shot": [interval(plain[:, i]) for i in (first, second)],
        "by_layer": {
            str(tried): [float(found[0, :, first].mean()), float(found[1, :, second].mean())]
            for tried, found in material.injected.items()
        },
    }
    return Finding(values, _claims(material, patched, prompted))


def _row(share: float, first: np.ndarray, second: np.ndarray) -> dict:
    return {"share": float(share), "first": interval(first), "second": interval(second)}


def _claims(material: Material, patched: list[dict], prompted: list[dict]) -> list[Claim]:
    bound = getattr(material.subject, "error_bound", None)
    if bound is None:
        return []
    claims = [_worst("prompts mixed by share", prompted, bound)]
    if material.subject.theorem.number == 3:  # pyright: ignore[reportAttributeAccessIssue]
        best = material.subject.layers[material.best_layer - 1]
        claims += [
            _worst("task vectors mixed by share", patched, 2 * bound),
            Claim("the best layer is Tally", float(best == "tally"), 1.0, 0.0),
        ]
    return claims


def _worst(what: str, rows: list[dict], bound: float) -> Claim:
    off = [abs(row["first"][0] - row["share"]) for row in rows]
    off += [abs(row["second"][0] - 1 + row["share"]) for row in rows]
    return Claim(f"{what}: worst distance from the mixture", max(off), 0.0, bound)


def draw(axis: Any, values: dict) -> None:
    """Lines: patched. Open markers: prompted."""
    from verify import plots

    for key, name, color, marker in zip(
        ("first", "second"), values["tasks"], plots.PALETTE, plots.MARKERS, strict=False
    ):
        shares = [row["share"] for row in values["patched"]]
        axis.plot(
            shares,
            [row[key][0] for row in values["patched"]],
            color=color,
            marker=marker,
            ms=3,
            label=f"{name}, patched",
        )
        shares = [row["share"] for row in values["prompted"]]
        axis.plot(
            shares,
            [row[key][0] for row in values["prompted"]],
            marker,
            color="white",
            mec=color,
            label=f"{name}, prompt",
        )
    axis.set_ylim(-0.03, 1.03)
    axis.set_xlabel(f"share of {values['tasks'][0]} (patched after {values['layer_name']})")
    axis.set_ylabel("probability")
    axis.legend(frameon=False, fontsize=6)
