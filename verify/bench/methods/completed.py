"""The paper's Figure 6: how many tasks are completed at once, and KL(D||P), against a model's size.

A task is completed on a prompt if its answer is as likely as the K-th likeliest next token, up to
1e-5. (The paper ranks strings. Where an answer is several tokens, its first stands for it, and
where two tasks' first tokens can be the same nothing is counted.)
"""

from typing import Any

import numpy as np

from verify.bench.material import Material
from verify.bench.stats import interval
from verify.bench.subject import Claim, Finding

TITLE = "Figure 6: tasks completed, against size"
SLACK = 1e-5
LEAST = 1e-12  # a probability that KL takes for 0


def find(material: Material) -> Finding:
    """r, the mean number of tasks completed, and KL of the mixture against the tasks'
    probabilities."""
    cases, run = material.even
    mixed = list(material.tasks.mixed)
    K, share = len(mixed), material.shares(cases)[:, mixed]
    first, answers = run.first[:, mixed], run.answers[:, mixed]
    done = first >= run.ranked[:, K - 1 : K] - SLACK
    same = np.mean([len(set(row)) < len(row) for row in np.round(first, 12).tolist()])
    coincide = material.subject.kind == "pretrained" and same > 0.01
    kl = (share * np.log(share / np.maximum(answers, LEAST))).sum(1)
    values = {
        "size": material.subject.size,
        "K": K,
        "completed": None if coincide else interval(done.sum(1)),
        "kl": interval(kl),
    }
    bound = getattr(material.subject, "error_bound", None)
    if bound is None:
        return Finding(values)
    return Finding(
        values,
        [
            Claim("tasks completed", float(done.sum(1).mean()), float(K), 0.0),
            # |ln(D/P)| <= K bound / (1 - K bound) where D = 1/K.
            Claim("KL(D||P)", float(kl.mean()), 0.0, 2 * K * bound),
        ],
    )


def summary(axes: Any, results: dict) -> None:
    """All subjects: tasks completed, as a share of K, against parameters; KL against K."""
    from verify import plots

    own = [(r["kind"], s, r["values"]) for (s, _, m), r in results.items() if m == "completed"]
    kinds = ("constructed", "trained", "pretrained")
    for kind, color, marker in zip(kinds, plots.PALETTE, plots.MARKERS, strict=False):
        points = sorted(
            (v["size"], v["completed"][0] / v["K"])
            for one, _, v in own
            if one == kind and v["completed"]
        )
        if points:
            axes[0].plot(*zip(*points, strict=True), marker, color=color, label=kind, alpha=0.8)
    axes[0].set_xscale("log")
    axes[0].set_xlabel("parameters")
    axes[0].set_ylabel("share of the tasks completed")
    axes[0].set_ylim(-0.03, 1.06)
    axes[0].legend(frameon=False, fontsize=7)
    constructed = sorted({s for kind, s, _ in own if kind == "constructed"})
    for name, color, marker in zip(constructed, plots.PALETTE, plots.MARKERS, strict=False):
        points = sorted({(v["K"], max(abs(v["kl"][0]), 1e-17)) for _, s, v in own if s == name})
        axes[1].plot(*zip(*points, strict=True), marker=marker, color=color, label=name)
    axes[1].set_yscale("log")
    axes[1].set_xlabel("tasks K, constructed (0 is drawn at 1e-17)")
    axes[1].set_ylabel("KL(D‖P), absolute")
    axes[1].legend(frameon=False, fontsize=7, loc="center right")
