"""The paper's Figure 4: task vectors of mixed prompts between those of pure ones.

The vector of a prompt is the stream at the answer token after the best layer. LDA is fitted on half
of the pure prompts; a vector's position is where it lies between the other halves' means, 0 the
second task's and 1 the first's. Null control: the same with the pure prompts' labels shuffled.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from verify.bench.material import Material
from verify.bench.stats import interval, span
from verify.bench.subject import Claim, Finding

TITLE = "Figure 4: where mixtures lie between pure tasks (LDA)"
# Vectors that differ by rounding alone have no scatter to weigh directions by.
ROUNDING = 1e-9


def axis_of(
    first: Float[np.ndarray, "F D"], second: Float[np.ndarray, "S D"]
) -> Float[np.ndarray, "D"]:
    """The direction, from the second class to the first, that LDA tells them apart by. Where
    neither scatters it is the difference of their means, the limit of shrinking the scatter towards
    a multiple of 1."""
    step = first.mean(0) - second.mean(0)
    centered = np.concatenate([first - first.mean(0), second - second.mean(0)])
    size = max(float(np.abs(first).max()), float(np.abs(second).max()))
    if np.linalg.norm(step) <= ROUNDING * size:
        return np.zeros_like(step)
    if np.abs(centered).max() <= ROUNDING * size:
        return step
    LinearDiscriminantAnalysis = _lda()
    lda = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto", n_components=1)
    classes = np.repeat([1, 0], [len(first), len(second)])
    # The leading directions of the scatter and the step hold all that the samples say; the rest is
    # 0, and the solver is cubic in the width.
    basis = span(np.concatenate([centered, step[None]]), ROUNDING)
    samples = np.concatenate([first, second]) @ basis.T
    axis = lda.fit(samples, classes).scalings_[:, 0] @ basis
    return axis if axis @ step >= 0 else -axis


def _lda() -> Any:
    try:
        from sklearn import discriminant_analysis  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError:
        raise ValueError(
            "LDA needs the package scikit-learn; pip install 'superposed-tasks[methods]'"
        ) from None
    return discriminant_analysis.LinearDiscriminantAnalysis


def position(
    x: Float[np.ndarray, "P D"],
    axis: Float[np.ndarray, "D"],
    first: Float[np.ndarray, "F D"],
    second: Float[np.ndarray, "S D"],
) -> Float[np.ndarray, "P"]:
    """Where vectors lie between the means of two held-out classes; NaN where these coincide."""
    one, zero = (first @ axis).mean(), (second @ axis).mean()
    if abs(one - zero) <= ROUNDING * max(np.abs(first @ axis).max(initial=0), 1e-300):
        return np.full(len(x), np.nan)
    return (x @ axis - zero) / (one - zero)


def find(material: Material) -> Finding:
    """By share, the mean position of held-out prompts, and the null's accuracy on held-out pure
    prompts."""
    layer = material.best_layer
    vectors = {share: run.at("answer")[:, layer] for share, (_, run) in material.mixed.items()}
    half = material.sizes.mixed // 2
    first, second = vectors[1.0], vectors[0.0]
    axis = axis_of(first[:half], second[:half])
    held = {share: x[half:] if share in (0.0, 1.0) else x for share, x in vectors.items()}
    rows = [
        {"share": share, "position": _safe(position(x, axis, first[half:], second[half:]))}
        for share, x in held.items()
    ]
    rng = material.rng("null")
    null = [_accuracy(*_shuffled(first, second, half, rng)) for _ in range(20)]
    values = {
        "layer": layer,
        "layer_name": material.subject.layers[layer - 1],
        "tasks": [material.tasks.names[i] for i in material.pair],
        "rows": rows,
        "accuracy": _accuracy(axis, first[half:], second[half:], first[:half], second[:half]),
        "null_accuracy": [float(np.mean(null)), float(np.min(null)), float(np.max(null))],
    }
    return Finding(values, _claims(material, rows))


def _safe(x: np.ndarray) -> list[float] | None:
    return None if np.isnan(x).any() else interval(x)


def _shuffled(first: np.ndarray, second: np.ndarray, half: int, rng: np.random.Generator):
    """The axis of shuffled labels, and where it is tried: prompts that it was not fitted on."""
    both = np.concatenate([first, second])
    both = both[rng.permutation(len(both))]
    a, b, rest = both[:half], both[half : 2 * half], both[2 * half :]
    return axis_of(a, b), rest[: len(rest) // 2], rest[len(rest) // 2 :], a, b


def _accuracy(
    axis: np.ndarray, first: np.ndarray, second: np.ndarray, fit_a: np.ndarray, fit_b: np.ndarray
) -> float:
    """The share of held-out vectors on the right side of the midpoint between the fitted means;
    one on it counts half."""
    middle = ((fit_a @ axis).mean() + (fit_b @ axis).mean()) / 2
    side = np.concatenate([first @ axis - middle, middle - second @ axis])
    return float(np.mean(np.where(side > 0, 1.0, np.where(side == 0, 0.5, 0.0))))


def _claims(material: Material, rows: list[dict]) -> list[Claim]:
    bound = getattr(material.subject, "error_bound", None)
    if bound is None or not hasattr(material.subject, "theorem"):
        return []
    if material.subject.theorem.number != 3:  # pyright: ignore[reportAttributeAccessIssue]
        return []  # no task vector at the answer token: see decodability
    return [
        Claim(
            f"position at share {row['share']}",
            np.nan if row["position"] is None else row["position"][0],
            row["share"],
            # The vector is w up to the bound of Tally, which the answer's bound is above.
            4 * bound,
            "w = m_i / M after Tally",
        )
        for row in rows
    ]


def draw(axis: Any, values: dict) -> None:
    """Positions against shares; the diagonal is a convex combination."""
    from verify import plots

    axis.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
    rows = [row for row in values["rows"] if row["position"] is not None]
    if rows:
        mean, low, high = np.array([row["position"] for row in rows]).T
        axis.errorbar(
            [row["share"] for row in rows],
            mean,
            (mean - low, high - mean),
            color=plots.PALETTE[0],
            marker="o",
        )
    else:
        axis.text(0.5, 0.5, "nothing here tells\nthe tasks apart", ha="center", va="center")
    axis.set_xlabel(f"share of {values['tasks'][0]} ({values['layer_name']})")
    axis.set_ylabel("position")
