"""Activation patching, attribution patching and direct logit attribution, beside what ablations do.

The score is s = log P(first task's answer) - log P(second's), or on a constructed subject the
difference of the probabilities themselves, on prompts of the first task alone.

- Ablation: s with one head's output set to 0 at all tokens, minus s.
- Attribution patching: its first order, minus the slope of s by the head's factor.
- Direct logit attribution: what the head adds to s through the stream alone, at the answer token.
- Activation patching: s with the answer token's stream of a prompt of the second task, of the same
  query, minus s, by layer; and its first order.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from verify.bench.material import Material
from verify.bench.stats import correlation
from verify.bench.subject import Change, Claim, Finding, Run

TITLE = "Attribution beside ablation, head by head"
LEAST = 1e-30  # a probability that a log takes for 0


def find(material: Material) -> Finding:
    """Every head's direct, first-order and (of those that are tried) true effect; every layer's
    patch."""
    subject, pair = material.subject, material.pair
    cases = material.pure(0)[0][: material.sizes.causal]
    run = subject.run(cases, heads="answer")
    plain = score(material, run)
    slopes = subject.slopes(cases, pair)
    first_order = -slopes.keep.mean(0)
    W = [np.asarray(subject.unembed([one.answers[i] for one in cases]), np.float64) for i in pair]
    direct = np.einsum("plhd,pd->plh", run.heads, (W[0] - W[1]) / run.scale[:, None]).mean(0)
    tried = _tried(material, first_order)
    effects = []
    for layer, head in tried:
        keep = np.ones_like(first_order)
        keep[layer, head] = 0
        changed = score(material, subject.run(cases, Change(keep=keep)))
        effects.append(float((changed - plain).mean()))
    at = tuple(np.array(tried).T)
    values = {
        "layers": list(subject.layers),
        "tasks": [material.tasks.names[i] for i in pair],
        "heads": [list(head) for head in tried],
        "ablation": effects,
        "first_order": first_order.tolist(),
        "direct": direct.tolist(),
        "correlation": {
            "attribution patching": correlation(first_order[at], np.array(effects)),
            "direct logit attribution": correlation(-direct[at], np.array(effects)),
        },
        "patching": _patching(material, cases, run, plain, slopes.stream),
    }
    return Finding(values, _claims(material, values, first_order))


def score(material: Material, run: Run) -> Float[np.ndarray, "P"]:
    """s of each prompt."""
    first, second = (run.answers[:, i] for i in material.pair)
    if not material.subject.softmax:
        return first - second
    return np.log(np.maximum(first, LEAST)) - np.log(np.maximum(second, LEAST))


def _tried(material: Material, first_order: Float[np.ndarray, "L H"]) -> list[tuple[int, int]]:
    """The heads that are ablated one by one: all, or half the best by first order, half random."""
    L, H = first_order.shape
    every = [(i, j) for i in range(L) for j in range(H)]
    count = material.sizes.heads
    if count >= len(every):
        return every
    order = np.argsort(-np.abs(first_order), axis=None)[: count // 2]
    best = [every[i] for i in order]
    rest = [head for head in every if head not in best]
    rng = material.rng("single heads")
    return best + [rest[i] for i in rng.choice(len(rest), count - len(best), replace=False)]


def _patching(
    material: Material,
    cases: list,
    clean: Run,
    plain: np.ndarray,
    slope: Float[np.ndarray, "P L1 D"],
) -> list[dict]:
    others = material.pure(1)[0][: len(cases)]
    asked = [
        replace(other, query=one.query, answers=one.answers)
        for other, one in zip(others, cases, strict=True)
    ]
    corrupt = material.subject.run(asked).at("answer")
    rows = []
    for layer in material.tried_layers():
        change = Change(layer=layer, vector=corrupt[:, layer])
        effect = score(material, material.subject.run(cases, change)) - plain
        step = corrupt[:, layer] - clean.at("answer")[:, layer]
        first = (slope[:, layer] * step).sum(1)
        rows.append(
            {"layer": layer, "effect": float(effect.mean()), "first_order": float(first.mean())}
        )
    return rows


def _claims(material: Material, values: dict, first_order: np.ndarray) -> list[Claim]:
    subject: Any = material.subject
    theorem = getattr(subject, "theorem", None)
    if theorem is None:
        return []
    bound = 4 * subject.error_bound
    claims = []
    # Where the softmax is hard, a small change of a factor moves no weight.
    silent = {1: ("lift", "pair", "recognize", "commit")}.get(theorem.number, ())
    for i, name in enumerate(subject.layers):
        if name in silent:
            claims.append(
                Claim(
                    f"attribution of {name}",
                    float(np.abs(first_order[i]).max()),
                    0.0,
                    bound,
                    "a hard softmax has no slope",
                )
            )
    arrives = {1: "superpose", 3: "tally"}.get(theorem.number)
    if arrives is None:
        return claims
    arrival = subject.layers.index(arrives) + 1
    return claims + [
        # From P(first) - P(second) = 1 to -1, at once where the task arrives.
        Claim(
            f"patching after {subject.layers[row['layer'] - 1]}",
            row["effect"],
            -2.0 if row["layer"] >= arrival else 0.0,
            bound,
        )
        for row in values["patching"]
    ]


def draw(axis: Any, values: dict) -> None:
    """First order and direct attribution of each tried head, against its ablation."""
    from verify import plots

    at = tuple(np.array(values["heads"]).T)
    for name, key, sign, color, marker in (
        ("attribution patching", "first_order", 1, plots.PALETTE[0], "o"),
        ("direct logit attribution", "direct", -1, plots.PALETTE[1], "s"),
    ):
        found = sign * np.array(values[key])[at]
        r = values["correlation"][name]
        axis.plot(
            values["ablation"],
            found,
            marker,
            ms=3,
            color=color,
            alpha=0.7,
            label=name + ("" if r is None else f", r = {r:.2f}"),
        )
    axis.set_xlabel("effect of ablating the head")
    axis.set_ylabel("predicted effect")
    if max(np.abs(values["ablation"])) > 20:
        axis.set_xscale("symlog", linthresh=1)
        axis.set_yscale("symlog", linthresh=1)
    axis.legend(frameon=False, fontsize=6)
