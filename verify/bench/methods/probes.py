"""Linear probes: which of two tasks a pure prompt shows, and in which share a mixed prompt mixes
them, read off the stream by ridge regression.

Half of the prompts fit the probe, the other half are scored: accuracy for the first, the share of
explained variance (R^2) for the second. A constructed subject's ideal streams give the prediction.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from verify.bench.material import MIXED, Material
from verify.bench.stats import ridge
from verify.bench.subject import PLACES, Claim, Finding

TITLE = "Linear probes for the task and its share"
# A prediction that the probe gets from rounding: scores agree up to this.
AGREES = 1e-6


def find(material: Material) -> Finding:
    """Accuracy and R^2 by place and layer."""
    cases = {share: material.mixed[share][0] for share in MIXED}
    measured = _scores({share: material.mixed[share][1].streams for share in MIXED})
    values: dict[str, Any] = {
        "layers": ["embed", *material.subject.layers],
        "tasks": [material.tasks.names[i] for i in material.pair],
        "measured": measured,
        "predicted": None,
    }
    ideal = getattr(material.subject, "ideal", None)
    if ideal is None:
        return Finding(values)
    values["predicted"] = _scores({share: ideal(cases[share]) for share in MIXED})
    claims = [
        Claim(
            f"{score} at {place}, {layer}",
            measured[score][place][i],
            values["predicted"][score][place][i],
            AGREES,
            "ideal stream",
        )
        for score in measured
        for place in PLACES
        for i, layer in enumerate(values["layers"])
    ]
    return Finding(values, claims)


def _scores(streams: dict[float, Float[np.ndarray, "P places L1 D"]]) -> dict:
    layers = streams[0.0].shape[2]
    found: dict[str, dict[str, list[float]]] = {"task": {}, "share": {}}
    for i, place in enumerate(PLACES):
        at = [{share: x[:, i, layer] for share, x in streams.items()} for layer in range(layers)]
        found["task"][place] = [_task(one) for one in at]
        found["share"][place] = [_share(one) for one in at]
    return found


def _halves(x: dict[float, np.ndarray], shares: tuple[float, ...]):
    fit = np.concatenate([x[share][::2] for share in shares])
    test = np.concatenate([x[share][1::2] for share in shares])
    goals = [np.concatenate([np.full(len(x[s][k::2]), s) for s in shares]) for k in (0, 1)]
    return fit, goals[0], test, goals[1]


def _task(x: dict[float, np.ndarray]) -> float:
    fit, goal, test, truth = _halves(x, (0.0, 1.0))
    guess = ridge(fit, goal, test)
    side = (guess - 0.5) * (truth - 0.5)
    return float(np.mean(np.where(side > 1e-9, 1.0, np.where(side < -1e-9, 0.0, 0.5))))


def _share(x: dict[float, np.ndarray]) -> float:
    fit, goal, test, truth = _halves(x, MIXED)
    guess = ridge(fit, goal, test)
    return float(1 - np.square(guess - truth).sum() / np.square(truth - truth.mean()).sum())


def draw(axis: Any, values: dict) -> None:
    """R^2 of the share, by layer and place; crosses are the prediction."""
    from verify import plots

    steps = range(len(values["layers"]))
    for place, color, marker in zip(PLACES, plots.PALETTE, plots.MARKERS, strict=False):
        score = np.maximum(values["measured"]["share"][place], -0.5)
        axis.plot(steps, score, marker=marker, ms=3, color=color, label=place)
        if values["predicted"]:
            axis.plot(
                steps, np.maximum(values["predicted"]["share"][place], -0.5), "x", ms=7, color=color
            )
    if len(values["layers"]) < 12:
        axis.set_xticks(steps, values["layers"], rotation=45, fontsize=7)
    else:
        axis.set_xlabel("layer")
    axis.set_ylim(-0.55, 1.03)
    axis.set_ylabel("R² of the share, held out")
    axis.legend(frameon=False, fontsize=6)
