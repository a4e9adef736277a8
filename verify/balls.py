"""The forward pass in ball arithmetic: the very weights, as stored, over real numbers, with every
error enclosed.

Needs python-flint (the extra `certify`), which is imported only here. A ball is a midpoint and a
radius; an operation returns a ball that contains every result of its operands' points. A comparison
is true only if it is true of all points: what the balls leave undecided counts as false.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from construct import Transformer
from construct.layers import MLP, Heads, Layer
from verify import extras

if TYPE_CHECKING:
    from flint import arb, arb_mat


def flint() -> Any:
    """The module python-flint. Raises MissingExtra that says how to install it."""
    return extras.load("flint", what="a certificate in ball arithmetic")


@contextmanager
def working_bits(bits: int) -> Iterator[None]:
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
    """A float that no point of the ball's absolute value exceeds; infinite where the ball says
    nothing."""
    return _up(ball.abs_upper()) if ball.is_finite() else np.inf


def distance(left: "arb", right: Any) -> float:
    """A float that no point of |left - right| exceeds."""
    return upper(left - right)


class Selection(NamedTuple):
    """What a layer's scores must show: its winners are at most spread + 2 error apart, and T - 2
    error above all losers."""

    T: float
    error: float
    spread: float

    @property
    def tie(self) -> float:
        """How far below the top a score may be and still be a winner's."""
        return self.spread + 2 * self.error

    @property
    def near(self) -> float:
        """How far below the top a loser may be and still be near."""
        return 2 * self.T - 2 * self.error


@dataclass(frozen=True)
class Enclosed:
    """One layer in balls: the stream after it, a lower bound on the least gap and by token an upper
    bound on the near losers.

    wide: whether every gap is certainly T - 2 error, which no float may be near enough to tell.
    best: by head and token a float that the best score of a key other than BOS does not exceed, NaN
    where such a bound says less than the score does: unless it is exact, certainly within the
    winners' spread of 0, or certainly at most -T. ties: whether every head's winners certainly tie
    within the layer's spread and score error.
    """

    stream: "arb_mat"
    least_gap: float
    wide: bool
    near: Int[np.ndarray, "N"]
    best: Float[np.ndarray, "K N"]
    ties: bool


def enclose(
    model: Transformer, stream: Float[np.ndarray, "N D"], selections: Sequence[Selection]
) -> Iterator[Enclosed]:
    """Run a model over an embedded prompt, layer by layer."""
    h = exact(stream)
    for layer, selection in zip(model.layers, selections, strict=True):
        enclosed = _layer(layer, h, selection)
        h = enclosed.stream
        yield enclosed


def _layer(layer: Layer, h: "arb_mat", selection: Selection) -> Enclosed:
    total = h
    tokens = h.nrows()
    seen = [_Gaps(np.inf, True, np.zeros(tokens, int), np.zeros(tokens), True)]
    for bank in layer.banks:
        if _is_zero(bank):
            continue  # adds exactly 0, and scores every key exactly 0
        for head in range(bank.count):
            scores, out = _head(bank, head, h, layer.causal)
            total = total + out
            seen.append(_gaps(scores, selection, layer.causal))
    if layer.mlp is not None:
        total = total + _mlp(layer.mlp, total)
    gaps, wide, near, best, tied = zip(*seen, strict=True)
    return Enclosed(total, min(gaps), all(wide), np.max(near, axis=0), np.array(best), all(tied))


def _is_zero(bank: Heads) -> bool:
    return not any(
        np.asarray(matrix[...]).any() for matrix in (bank.W_Q, bank.W_K, bank.W_V, bank.W_O)
    )


def _head(bank: Heads, head: int, h: "arb_mat", causal: bool) -> "tuple[arb_mat, arb_mat]":
    """A head's scores of all keys, visible or not, and what it moves."""
    W_Q, W_K, W_V, W_O = (
        exact(np.asarray(matrix[...])[head]) for matrix in (bank.W_Q, bank.W_K, bank.W_V, bank.W_O)
    )
    scores = (h * W_Q.transpose()) * (h * W_K.transpose()).transpose()
    rows = []
    for q in range(scores.nrows()):
        row = [scores[q, k] for k in range(q + 1 if causal else scores.ncols())]
        shift = max(
            (score.mid() for score in row), key=float
        )  # any shift would do; the largest keeps exp small
        weights = [(score - shift).exp() for score in row]
        total = sum(weights, flint().arb(0))
        hidden = [flint().arb(0)] * (scores.ncols() - len(row))
        rows.append([weight / total for weight in weights] + hidden)
    return scores, (flint().arb_mat(rows) * (h * W_V.transpose())) * W_O.transpose()


class _Gaps(NamedTuple):
    """Of one head: the certain least gap, whether it is wide enough, by token the possible near
    losers and the best score but BOS', and whether its winners certainly tie."""

    gap: float
    wide: bool
    near: Int[np.ndarray, "N"]
    best: Float[np.ndarray, "N"]
    tied: bool


def _gaps(scores: "arb_mat", selection: Selection, causal: bool) -> _Gaps:
    """What is certain of a head's scores; causal: a token sees no key after it."""
    tokens = range(scores.nrows())
    rows = [[scores[q, k] for k in range(q + 1 if causal else scores.ncols())] for q in tokens]
    gaps, wide, near, tied = zip(*(_lead(row, selection) for row in rows), strict=True)
    return _Gaps(
        min(gaps),
        all(wide),
        np.array(near),
        np.array([_best(row[1:], selection) for row in rows]),
        all(tied),
    )


def _lead(row: "list[arb]", selection: Selection) -> tuple[float, bool, int, bool]:
    """Of one token's scores the certain gap, whether it is wide enough, the possible near losers,
    whether winners tie."""
    # Scores are told apart relative to the largest: there a float is precise, even next to 0.
    arb, top = flint().arb, _largest(row).mid()
    behind = [score - top for score in row]
    lower, above = (np.array([bound(score) for score in behind]) for bound in (_down, _up))
    winners = above >= lower.max() - selection.tie
    last, first = float(above[winners].max()), float(lower[winners].min())
    losers = [score for score, wins in zip(behind, winners, strict=True) if not wins]
    required = arb(first) - (arb(selection.T) - 2 * arb(selection.error))
    return (
        min((_down(arb(first) - score) for score in losers), default=np.inf),
        all(score <= required for score in losers),
        int((~winners & (above > lower.max() - selection.near)).sum()),
        bool(winners.sum() == 1 or arb(last) - arb(first) <= selection.tie),
    )


def _best(row: "list[arb]", selection: Selection) -> float:
    """A bound on the best score of a row where it is decided, else NaN; -infinity of an
    empty row."""
    most, least = (max(map(bound, row), default=-np.inf) for bound in (_up, _down))
    winner = selection.spread + selection.error if selection.spread else 0.0
    return (
        most
        if most == least or -winner <= least <= most <= winner or most <= -selection.T
        else np.nan
    )


def _largest(row: "list[arb]") -> "arb":
    return max(row, key=lambda score: float(score.mid()))


def _down(ball: "arb") -> float:
    return -_up(-ball)


def _up(ball: "arb") -> float:
    if not ball.is_finite():
        return float(ball) if ball.is_exact() else np.inf
    bound = float(ball.upper())  # rounded to nearest: step up where that went below
    return bound if ball <= bound else float(np.nextafter(bound, np.inf))


def _mlp(mlp: MLP, h: "arb_mat") -> "arb_mat":
    """What an MLP adds to every token."""
    W_1, W_2 = np.asarray(mlp.W_1[...]), np.asarray(mlp.W_2[...])
    if mlp.W_3 is None:
        return _relu_mlp(W_1, W_2, h)
    opened, content = h * exact(W_1).transpose(), h * exact(np.asarray(mlp.W_3[...])).transpose()
    passed = [
        [opened[token, unit].max(0) * content[token, unit] for unit in range(len(W_1))]
        for token in range(h.nrows())
    ]
    return flint().arb_mat(passed) * exact(W_2).transpose()


def _relu_mlp(W_1: np.ndarray, W_2: np.ndarray, h: "arb_mat") -> "arb_mat":
    """W_2 relu(W_1 h). Where the sign of every unit is certain the MLP is one exact matrix, and
    what cancels in it cancels: on a plateau of Commit's trapezoid a count's radius does not reach
    ok. Elsewhere each unit is a ball of its own."""
    arb_mat = flint().arb_mat
    before = h * exact(W_1).transpose()
    linear: dict[tuple[bool, ...], Any] = {}
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
