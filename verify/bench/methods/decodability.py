"""Task decodability: can nearest neighbors tell which task a prompt shows, by layer and by token?

Streams of pure prompts of two tasks are pooled; each is classed by its ten nearest neighbors,
itself left out. Neighbors as near as the tenth all vote, and a class's votes count by its size
without the one that is left out: where all streams are the same, the share that is right is then
exactly 1/2.

On a constructed subject the curve is known beforehand: it is that of the ideal streams, which come
from the definition and no weight.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from verify.bench.material import Material
from verify.bench.subject import PLACES, Claim, Finding

TITLE = "Task decodability, by layer and token"
NEIGHBORS = 10
ROUNDING = 1e-9  # distances that differ by less, relative to the vectors' size, are the same


def decodable(x: Float[np.ndarray, "P D"], classes: Int[np.ndarray, "P"]) -> float:
    """The share of vectors whose neighbors' majority is their own class; a tied majority counts
    its share."""
    x = np.asarray(x, np.float64)
    squares = np.square(x).sum(1)
    distance = np.maximum(squares[:, None] + squares - 2 * x @ x.T, 0)
    distance = np.where(distance <= ROUNDING * (1 + squares.max()), 0, distance)
    np.fill_diagonal(distance, np.inf)
    limit = np.sort(distance, 1)[:, NEIGHBORS - 1 : NEIGHBORS]
    votes = (distance <= limit * (1 + ROUNDING)).astype(float)
    names, sizes = np.unique(classes, return_counts=True)
    right = 0.0
    for own, row in zip(classes, votes, strict=True):
        counts = np.array([row[classes == name].sum() for name in names])
        weights = counts / (sizes - (names == own))
        best = weights >= weights.max() * (1 - ROUNDING)
        right += best[names == own][0] / best.sum()
    return right / len(x)


def find(material: Material) -> Finding:
    """TD by place and layer; on a constructed subject the prediction too."""
    runs = [material.pure(which) for which in (0, 1)]
    classes = np.repeat([0, 1], [len(cases) for cases, _ in runs])
    streams = np.concatenate([run.streams for _, run in runs])
    measured = _curves(streams, classes)
    values = {
        "layers": ["embed", *material.subject.layers],
        "tasks": [material.tasks.names[i] for i in material.pair],
        "measured": measured,
        "predicted": None,
    }
    ideal = getattr(material.subject, "ideal", None)
    if ideal is None:
        return Finding(values)
    predicted = _curves(np.concatenate([ideal(cases) for cases, _ in runs]), classes)
    values["predicted"] = predicted
    claims = [
        Claim(
            f"TD at {place}, {layer}", measured[place][i], predicted[place][i], 0.0, "ideal stream"
        )
        for place in PLACES
        for i, layer in enumerate(values["layers"])
    ]
    return Finding(values, claims)


def _curves(streams: np.ndarray, classes: np.ndarray) -> dict[str, list[float]]:
    return {
        place: [decodable(streams[:, i, layer], classes) for layer in range(streams.shape[2])]
        for i, place in enumerate(PLACES)
    }


def draw(axis: Any, values: dict) -> None:
    """Measured lines, and the prediction as crosses."""
    from verify import plots

    steps = range(len(values["layers"]))
    for place, color, marker in zip(PLACES, plots.PALETTE, plots.MARKERS, strict=False):
        axis.plot(steps, values["measured"][place], marker=marker, ms=3, color=color, label=place)
        if values["predicted"]:
            axis.plot(steps, values["predicted"][place], "x", ms=7, color=color)
    axis.axhline(0.5, color="#999999", linewidth=0.8, linestyle="--")
    if len(values["layers"]) < 12:
        axis.set_xticks(steps, values["layers"], rotation=45, fontsize=7)
    else:
        axis.set_xlabel("layer")
    axis.set_ylim(0.3, 1.03)
    axis.set_ylabel("share decoded right")
    axis.legend(frameon=False, fontsize=6, ncols=4, loc="lower center")
