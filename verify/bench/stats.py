"""What the methods share: the variance ratio, bootstrap intervals, projections."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Shaped

RESAMPLES = 1000


def variance_ratio(p: Float[np.ndarray, "P"]) -> float:
    """V = var(p) / (p (1 - p)), p the mean: 0 if every prompt gives the mean, 1 if every prompt is
    all or nothing. 0 where the mean is 0 or 1 and nothing varies."""
    mean = float(np.mean(p))
    spread = mean * (1 - mean)
    variance = float(np.var(p))
    if variance == 0:
        return 0.0
    return variance / spread if spread > 0 else float("inf")


def interval(
    values: Shaped[np.ndarray, "P *rest"],
    statistic: Callable[[np.ndarray], float] = lambda one: float(np.mean(one)),
    seed: int = 0,
) -> list[float]:
    """A statistic of prompts with its 95% bootstrap interval: [value, low, high]."""
    values = np.asarray(values, float)
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(values), (RESAMPLES, len(values)))
    found = [statistic(values[row]) for row in rows]
    low, high = np.percentile(found, [2.5, 97.5])
    return [float(statistic(values)), float(low), float(high)]


def span(vectors: Float[np.ndarray, "Y D"], share: float = 1e-3) -> Float[np.ndarray, "r D"]:
    """An orthonormal basis of the span of vectors; directions below `share` of the largest singular
    value are left out."""
    _, sizes, basis = np.linalg.svd(vectors, full_matrices=False)
    return basis[sizes > share * sizes[0]] if len(sizes) and sizes[0] > 0 else basis[:0]


def projected(x: Float[np.ndarray, "*n D"], basis: Float[np.ndarray, "r D"]) -> np.ndarray:
    """The length of the projections on the span of an orthonormal basis."""
    return np.linalg.norm(x @ basis.T, axis=-1)


def correlation(x: Float[np.ndarray, "n"], y: Float[np.ndarray, "n"]) -> float | None:
    """Pearson's correlation; None where one of the two does not vary."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])


def ridge(
    fit: Float[np.ndarray, "P D"],
    goal: Float[np.ndarray, "P"],
    test: Float[np.ndarray, "Q D"],
    share: float = 1e-3,
) -> Float[np.ndarray, "Q"]:
    """Predictions of a ridge regression with a constant; the penalty is that share of the mean
    squared length of the centered vectors. Where all vectors are the same: the mean."""
    mean, level = fit.mean(0), goal.mean()
    x = np.asarray(fit - mean, np.float64)
    gram = x @ x.T
    size = np.trace(gram) / len(x)
    # Rounding is no signal.
    if size <= 1e-18 * max(float(np.square(fit).sum(1).mean()), 1e-300):
        return np.full(len(test), level)
    weights = np.linalg.solve(gram + share * size * np.eye(len(x)), goal - level)
    return level + (test - mean) @ (x.T @ weights)
