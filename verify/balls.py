"""The forward pass in ball arithmetic: the very weights, as stored, over real numbers, with every error enclosed.

Needs python-flint (the extra `certify`), which is imported only here. A ball is a midpoint and a radius; an operation returns
a ball that contains every result of its operands' points. A comparison is true only if it is true of all points: what the
balls leave undecided counts as false.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from construct import Transformer
from construct.transformer import Heads, Layer

if TYPE_CHECKING:
    from flint import arb, arb_mat


class MissingExtra(ValueError):
    """python-flint is not installed."""


def flint() -> Any:
    """The module python-flint. Raises MissingExtra that names the extra to install."""
    try:
        import flint
    except ImportError:
        raise MissingExtra(
            "--certify needs python-flint, which is not installed; install the extra: pip install '.[certify]'"
        ) from None
    return flint


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Compute with balls of this many bits, and restore the caller's setting."""
    context = flint().ctx
    before = context.prec
    context.prec = bits
    try:
        yield
    finally:
        context.prec = before


def exact(array: Float[np.ndarray, "rows columns"]) -> "arb_mat":
    """A matrix of floats as balls of radius 0: every float is a dyadic number."""
    return flint().arb_mat(np.asarray(array, np.float64).tolist())


def upper(ball: "arb") -> float:
    """A float that no point of the ball's absolute value exceeds; infinite where the ball says nothing."""
    return _up(ball.abs_upper()) if ball.is_finite() else np.inf


def distance(left: "arb", right: Any) -> float:
    """A float that no point of |left - right| exceeds."""
    return upper(left - right)


@dataclass(frozen=True)
class Enclosed:
    """One layer in balls: the stream after it, a lower bound on the least gap and by token an upper bound on the near losers.

    best: by head and token the best score of a key other than BOS, NaN unless it is certainly one float.
    ties: whether every head's winners certainly tie within the layer's score error.
    """

    stream: "arb_mat"
    least_gap: float
    near: Int[np.ndarray, "N"]
    best: Float[np.ndarray, "K N"]
    ties: bool


def enclose(model: Transformer, stream: Float[np.ndarray, "N D"], ties: Sequence[tuple[float, float]]) -> Iterator[Enclosed]:
    """Run a model over an embedded prompt; ties: by layer, the score differences up to which keys tie, and losers are near."""
    h = exact(stream)
    for layer, (tie, near) in zip(model.layers, ties, strict=True):
        enclosed = _layer(layer, h, tie, near)
        h = enclosed.stream
        yield enclosed


def _layer(layer: Layer, h: "arb_mat", tie: float, near: float) -> Enclosed:
    total = h
    tokens = h.nrows()
    gaps, nears, bests, tied = [np.inf], [np.zeros(tokens, int)], [np.zeros(tokens)], True
    for bank in layer.banks:
        if _is_zero(bank):
            continue  # adds exactly 0, and scores every key exactly 0
        for head in range(bank.count):
            scores, out = _head(bank, head, h)
            total = total + out
            gap, count, best, one_tie = _gaps(scores, tie, near)
            gaps.append(gap)
            nears.append(count)
            bests.append(best)
            tied &= one_tie
    if layer.mlp is not None:
        total = total + _mlp(np.asarray(layer.mlp.W_1[...]), np.asarray(layer.mlp.W_2[...]), total)
    return Enclosed(total, min(gaps), np.max(nears, axis=0), np.array(bests), tied)


def _is_zero(bank: Heads) -> bool:
    return not any(np.asarray(matrix[...]).any() for matrix in (bank.W_Q, bank.W_K, bank.W_V, bank.W_O))


def _head(bank: Heads, head: int, h: "arb_mat") -> tuple["arb_mat", "arb_mat"]:
    W_Q, W_K, W_V, W_O = (exact(np.asarray(matrix[...])[head]) for matrix in (bank.W_Q, bank.W_K, bank.W_V, bank.W_O))
    scores = (h * W_Q.transpose()) * (h * W_K.transpose()).transpose()
    rows = []
    for q in range(scores.nrows()):
        row = [scores[q, k] for k in range(scores.ncols())]
        shift = max((score.mid() for score in row), key=float)  # any shift would do; the largest keeps exp small
        weights = [(score - shift).exp() for score in row]
        total = sum(weights, flint().arb(0))
        rows.append([weight / total for weight in weights])
    return scores, (flint().arb_mat(rows) * (h * W_V.transpose())) * W_O.transpose()


def _gaps(scores: "arb_mat", tie: float, near: float) -> tuple[float, Int[np.ndarray, "N"], Float[np.ndarray, "N"], bool]:
    """The certain least gap of a head, by token the possible near losers and the best score but BOS', and whether winners tie."""
    shape = (scores.nrows(), scores.ncols())
    entries = scores.entries()
    lower = np.array([_down(entry) for entry in entries]).reshape(shape)
    above = np.array([_up(entry) for entry in entries]).reshape(shape)
    top = lower.max(1, keepdims=True)  # the top score is at least this
    winners = above >= top - tie
    first_winner = np.where(winners, lower, np.inf).min(1)
    best_loser = np.where(winners, -np.inf, above).max(1)
    last_winner = np.where(winners, above, -np.inf).max(1)
    tied = all(_up(_difference(*pair)) <= 2 * tie for pair in zip(last_winner, first_winner, strict=True))
    gap = min(_down(_difference(*pair)) for pair in zip(first_winner, best_loser, strict=True))
    counts = (~winners & (above > top - near)).sum(1)
    best, possible = lower[:, 1:].max(1), above[:, 1:].max(1)
    return gap, counts, np.where(best == possible, best, np.nan), tied


def _difference(left: float, right: float) -> "arb":
    """left - right without rounding; infinite where there is no loser."""
    arb = flint().arb
    return arb(float(left)) - arb(float(right)) if np.isfinite(right) else arb("inf")


def _down(ball: "arb") -> float:
    return -_up(-ball)


def _up(ball: "arb") -> float:
    if not ball.is_finite():
        return float(ball) if ball.is_exact() else np.inf
    bound = float(ball.upper())  # rounded to nearest: step up where that went below
    return bound if ball <= bound else float(np.nextafter(bound, np.inf))


def _mlp(W_1: np.ndarray, W_2: np.ndarray, h: "arb_mat") -> "arb_mat":
    """W_2 relu(W_1 h). Where the sign of every unit is certain the MLP is one exact matrix, and what cancels in it cancels:
    on a plateau of Commit's trapezoid a count's radius does not reach ok. Elsewhere each unit is a ball of its own."""
    arb_mat = flint().arb_mat
    before = h * exact(W_1).transpose()
    linear: dict[tuple[bool, ...], arb_mat] = {}
    rows = []
    for token in range(h.nrows()):
        units = [before[token, unit] for unit in range(len(W_1))]
        if all(unit > 0 or unit <= 0 for unit in units):
            signs = tuple(bool(unit > 0) for unit in units)
            if signs not in linear:
                active = exact(np.where(np.array(signs)[:, None], W_1, 0))
                linear[signs] = (exact(W_2) * active).transpose()
            row = arb_mat([[h[token, i] for i in range(h.ncols())]]) * linear[signs]
        else:
            row = arb_mat([[unit.max(0) for unit in units]]) * exact(W_2).transpose()
        rows.append(row.entries())
    return arb_mat(rows)
