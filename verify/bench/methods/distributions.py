"""The paper's Figures 1 and 2: the distribution of each task's probability over prompts that mix
several tasks of a set evenly, and V = var/(p (1 - p)).

V is 0 for a model that gives every prompt its own mixture, and 1 for one that goes all the way with
one task on each prompt, so that only the average is mixed.
"""

from typing import Any

import numpy as np

from verify.bench.material import Material
from verify.bench.stats import interval, variance_ratio
from verify.bench.subject import Claim, Finding

TITLE = "Figures 1 and 2: probabilities over mixed prompts"
MOST_V = 1e-12  # what a constructed subject must stay below
PERCENTILES = (0, 25, 50, 75, 100)


def find(material: Material) -> Finding:
    """Percentiles, means and V by task, what is left for other strings, and KL(D||P)."""
    cases, run = material.even
    mixed = list(material.tasks.mixed)
    p, share = run.answers[:, mixed], material.shares(cases)[:, mixed]
    with np.errstate(divide="ignore"):
        kl = (share * np.log(share / np.maximum(p, 1e-300))).sum(1)
    values = {
        "prompts": len(p),
        "tasks": [material.tasks.names[i] for i in mixed],
        "share": share.mean(0).tolist(),
        "percentiles": np.percentile(p, PERCENTILES, axis=0).T.tolist(),
        "mean": [interval(column) for column in p.T],
        "V": [interval(column, variance_ratio) for column in p.T],
        "other": interval(1 - p.sum(1)),
        "kl": interval(kl),
        "within_bound": float(np.abs(p - share).max()),
    }
    return Finding(values, _claims(material, p, share))


def _claims(material: Material, p: np.ndarray, share: np.ndarray) -> list[Claim]:
    bound = getattr(material.subject, "error_bound", None)
    if bound is None:
        return []
    worst = float(np.abs(p - share).max())
    return [
        Claim("probability of a task - its share, worst prompt", worst, 0.0, bound, "the theorem"),
        Claim("V, worst task", max(map(variance_ratio, p.T)), 0.0, MOST_V, "the theorem"),
        Claim(
            "probability of other strings",
            float(np.abs(1 - p.sum(1)).max()),
            0.0,
            2 * p.shape[1] * bound,
        ),
    ]


def draw(axis: Any, values: dict) -> None:
    """Box and whiskers by task, and the mixture as a dashed line."""
    from verify import plots

    names = [*values["tasks"]]
    for i, (low, quarter, middle, three, high) in enumerate(values["percentiles"]):
        color = plots.PALETTE[i % len(plots.PALETTE)]
        axis.vlines(i, low, high, color=color, linewidth=1)
        axis.vlines(i, quarter, three, color=color, linewidth=5)
        axis.plot(i, middle, plots.MARKERS[i % len(plots.MARKERS)], color="white", mec=color)
        axis.plot([i - 0.4, i + 0.4], [values["share"][i]] * 2, "--", color="#444444", linewidth=1)
    axis.plot(len(names), values["other"][0], "x", color="#444444")
    small = 6 if len(names) > 4 else 8
    axis.set_xticks(
        range(len(names) + 1), [*names, "other"], fontsize=small, rotation=45 * (len(names) > 4)
    )
    axis.set_ylim(-0.03, 1.03)
    axis.set_ylabel("probability")
    axis.set_xlabel(
        f"V {min(v[0] for v in values['V']):.2g} to {max(v[0] for v in values['V']):.2g}"
    )
