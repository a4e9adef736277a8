"""The paper's Figure 3: every line's task is drawn with probability lambda; the probability of each
task's answer against lambda, and how it varies over prompts.

Drawn lines vary themselves: a model that follows each prompt's own share has V = 1/lines on
average. `V own` takes the distance from the prompt's own share instead, which is then 0.
"""

from typing import Any

import numpy as np

from verify.bench.material import Material
from verify.bench.stats import interval, variance_ratio
from verify.bench.subject import Claim, Finding

TITLE = "Figure 3: probability against the share of examples"


def find(material: Material) -> Finding:
    """By lambda: both tasks' mean probability, V over prompts, and V about the prompts' own
    shares."""
    first, second = material.pair
    rows, worst = [], 0.0
    for share, (cases, run) in material.swept.items():
        p, own = run.answers[:, [first, second]], material.shares(cases)[:, [first, second]]
        spread = share * (1 - share)
        rows.append(
            {
                "share": share,
                "first": interval(p[:, 0]),
                "second": interval(p[:, 1]),
                "V": interval(p[:, 0], variance_ratio),
                "V_own": interval(np.square(p[:, 0] - own[:, 0]) / spread),
                "other": interval(1 - run.answers.sum(1)),
            }
        )
        worst = max(worst, float(np.abs(p - own).max()))
    names = [material.tasks.names[i] for i in material.pair]
    values = {
        "tasks": names,
        "prompts": material.sizes.sweep,
        "lines": material.sizes.lines,
        "rows": rows,
    }
    bound = getattr(material.subject, "error_bound", None)
    claims = []
    if bound is not None:
        claims = [
            Claim("probability - the prompt's own share, worst prompt", worst, 0.0, bound),
            Claim("V about the prompt's own share", max(r["V_own"][0] for r in rows), 0.0, 1e-12),
        ]
    return Finding(values, claims)


def draw(axis: Any, values: dict) -> None:
    """Both tasks' means with intervals, and the diagonals."""
    from verify import plots

    axis.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
    axis.plot([0, 1], [1, 0], color="#999999", linewidth=0.8, linestyle="--")
    shares = [row["share"] for row in values["rows"]]
    for key, name, color, marker in zip(
        ("first", "second"), values["tasks"], plots.PALETTE, plots.MARKERS, strict=False
    ):
        mean, low, high = np.array([row[key] for row in values["rows"]]).T
        axis.errorbar(
            shares,
            mean,
            (np.maximum(mean - low, 0), np.maximum(high - mean, 0)),
            color=color,
            marker=marker,
            label=name,
        )
    V = [row["V"][0] for row in values["rows"]]
    axis.set_xlabel(f"share of {values['tasks'][0]}; V {min(V):.2g} to {max(V):.2g}")
    axis.set_ylabel("probability")
    axis.set_ylim(-0.03, 1.03)
    axis.legend(frameon=False, fontsize=7)
