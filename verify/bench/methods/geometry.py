"""Mixture geometry: is the mean vector of mixed prompts the convex combination of the pure ones'?

kappa = <actual - c, predicted - c> / ||predicted - c||^2, c the midpoint of the pure means (at the
midpoint itself: 0/0, left out): 1 for an exact convex combination. The rest that is orthogonal to
the pure means' line is set beside its floor, the distance of two halves of the same prompts.
"""

from typing import Any

import numpy as np

from verify.bench.material import Material
from verify.bench.subject import Claim, Finding

TITLE = "Mixture geometry: kappa and what lies off the line"


def find(material: Material) -> Finding:
    """By layer and share: kappa, the orthogonal rest and its split-half floor, both over the
    distance of the pure means."""
    layers = [0, *material.tried_layers()]
    rows = []
    for layer in layers:
        x = {share: run.at("answer")[:, layer] for share, (_, run) in material.mixed.items()}
        one, other = x[1.0].mean(0), x[0.0].mean(0)
        length = float(np.linalg.norm(one - other))
        size = max(np.abs(one).max(), np.abs(other).max(), 1e-300)
        if length <= 1e-9 * size:
            continue  # nothing tells the tasks apart here
        step = (one - other) / length
        for share in (0.25, 0.5, 0.75):
            off = x[share].mean(0) - (one + other) / 2
            predicted = (share - 0.5) * length
            along = float(off @ step)
            floor = x[share][::2].mean(0) - x[share][1::2].mean(0)
            floor = floor - (floor @ step) * step
            rows.append(
                {
                    "layer": layer,
                    "share": share,
                    "kappa": along / predicted if share != 0.5 else None,
                    "along": along / length + 0.5,
                    "rest": float(np.linalg.norm(off - along * step)) / length,
                    # Half the difference of two halves' means is what a mean of all errs by.
                    "floor": float(np.linalg.norm(floor)) / 2 / length,
                }
            )
    values = {
        "rows": rows,
        "best_layer": material.best_layer,
        "layers": len(material.subject.layers),
        "tasks": [material.tasks.names[i] for i in material.pair],
    }
    return Finding(values, _claims(material, rows))


def _claims(material: Material, rows: list[dict]) -> list[Claim]:
    theorem = getattr(material.subject, "theorem", None)
    if theorem is None or theorem.number != 3:
        return []
    bound = material.subject.error_bound  # pyright: ignore[reportAttributeAccessIssue]
    tally = material.subject.layers.index("tally") + 1
    own = [row for row in rows if row["layer"] == tally]
    claims = [
        Claim(f"kappa at share {row['share']} after Tally", row["kappa"], 1.0, 8 * bound)
        for row in own
        if row["kappa"] is not None
    ]
    return claims + [
        Claim("rest off the line after Tally", max(row["rest"] for row in own), 0.0, 4 * bound)
    ]


def draw(axis: Any, values: dict) -> None:
    """Where the mean of each share lies on the line, by layer; dotted: the rest, at one half."""
    from verify import plots

    for share, color, marker in zip((0.25, 0.5, 0.75), plots.PALETTE, plots.MARKERS, strict=False):
        rows = [row for row in values["rows"] if row["share"] == share]
        axis.axhline(share, color=color, linewidth=0.6, linestyle="--")
        axis.plot(
            [row["layer"] for row in rows],
            [row["along"] for row in rows],
            marker=marker,
            color=color,
            ms=3,
            label=f"share {share}",
        )
    rows = [row for row in values["rows"] if row["share"] == 0.5]
    axis.plot(
        [row["layer"] for row in rows],
        [row["rest"] for row in rows],
        ":",
        color="#444444",
        label="off the line",
    )
    if not rows:
        axis.text(
            0.5,
            0.5,
            "no layer tells\nthe tasks apart",
            ha="center",
            va="center",
            transform=axis.transAxes,
        )
    else:
        axis.legend(frameon=False, fontsize=6)
    axis.set_xlim(-0.2, values["layers"] + 0.2)
    axis.set_ylim(-0.1, 1.3)
    axis.set_xlabel("layer")
    axis.set_ylabel("between the pure means")
