"""Normalizations made an identity, so that hosts that have them compute the theorem's stream.

A *frame* says how a host's stream holds the theorem's stream h. Every frame can be written and read
by matrices, so a layer of the theorem is a layer of the host.

none    h and nothing else.
rms     h, zeros, and p coordinates that hold a constant C which no layer writes. RMSNorm divides by
        the root of the mean square, (|h|^2 + p C^2)/E: with p = E/4^j and a weight of C/2^j it
        returns h, up to a factor (1 + |h|^2/(p C^2))^(-1/2).
layer   h and -h, zeros, p/2 coordinates that hold C and p/2 that hold -C. The mean is 0, the
        variance (2 |h|^2 + p C^2)/E; rows read the difference of the two copies, by (W, -W)/2.

C is the least power of two at which what h adds to the mean square is lost in rounding, by the
lemmas of `proofs.export.norms`: the computed norm is then the identity to the last bit. Ours.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from construct.evaluate.bounds import Bounds, Kinds, embedded
from construct.evaluate.bounds import mlp as after_mlp
from construct.evaluate.certificate import attended
from construct.evaluate.plan import moves
from construct.evaluate.program import needed
from construct.floats import gamma, unit_roundoff
from construct.layers import Stack

Kind = Literal["none", "rms", "layer"]
# What a host adds to the mean square before it takes the root.
EPS = {"none": 0.0, "rms": 1e-6, "layer": 1e-5}


@dataclass(frozen=True)
class Frame:
    """How a host's stream of `width` coordinates holds a theorem's stream of `dim`.

    pads: how many coordinates hold the constant C (or -C); gain: the weight of every norm.
    """

    kind: Kind
    dim: int
    width: int
    pads: int = 0
    C: float = 0.0

    def __post_init__(self) -> None:
        assert self.used + self.pads <= self.width, "the stream and its pads fit"
        assert self.kind == "none" or self.width == self.pads * self.share**2, "the root is exact"

    @property
    def copies(self) -> int:
        """How many times the host's stream holds h: twice (h and -h) for a layer norm."""
        return 2 if self.kind == "layer" else 1

    @property
    def used(self) -> int:
        """The coordinates that h takes."""
        return self.copies * self.dim

    @property
    def share(self) -> int:
        """2^j, the root of width / pads."""
        return math.isqrt(self.width // self.pads) if self.pads else 1

    @property
    def gain(self) -> float:
        """The weight of the norm: C/2^j."""
        return self.C / self.share

    def constants(self) -> Float[np.ndarray, "width"]:
        """What the host's stream holds besides h."""
        held = np.zeros(self.width)
        if self.kind == "rms":
            held[self.used : self.used + self.pads] = self.C
        elif self.kind == "layer":
            half = self.pads // 2
            held[self.used : self.used + half] = self.C
            held[self.used + half : self.used + self.pads] = -self.C
        return held

    def hold(self, rows: Float[np.ndarray, "*shape dim"]) -> Float[np.ndarray, "*shape width"]:
        """Vectors of the theorem's stream in the host's, without the constants."""
        held = np.zeros((*rows.shape[:-1], self.width), rows.dtype)
        held[..., : self.dim] = rows
        if self.copies == 2:
            held[..., self.dim : self.used] = -rows
        return held

    def reading(self, rows: Float[np.ndarray, "rows dim"]) -> Float[np.ndarray, "rows width"]:
        """Rows that read h off the normed stream, as rows that read the host's."""
        return self.hold(rows) / self.copies

    def unread(self, rows: Float[np.ndarray, "rows width"]) -> Float[np.ndarray, "rows dim"]:
        """What rows of a host read of h."""
        if self.copies == 1:
            return rows[..., : self.dim]
        return rows[..., : self.dim] - rows[..., self.dim : self.used]

    def unheld(self, rows: Float[np.ndarray, "*shape width"]) -> Float[np.ndarray, "*shape dim"]:
        """The theorem's stream that a host's holds."""
        if self.copies == 1:
            return rows[..., : self.dim]
        return (rows[..., : self.dim] - rows[..., self.dim : self.used]) / 2


def frame(kind: Kind, dim: int, *, norm: float, dtype: str, multiple: int = 1) -> Frame:
    """The narrowest frame whose width is a multiple of `multiple` (for heads of equal size).

    norm: a bound on |h| at every token and place where a norm stands.
    """
    if kind == "none":
        return Frame(kind, dim, dim)
    copies = 2 if kind == "layer" else 1
    widths = {}
    for j in range(1, 6):
        pads = math.ceil(copies * dim / (4**j - 1))
        while pads % copies or pads * 4**j % multiple:
            pads += 1
        widths[j] = pads * 4**j
    j = min(widths, key=lambda j: (widths[j], -j))
    width, pads = widths[j], widths[j] // 4**j
    return Frame(kind, dim, width, pads, least_constant(kind, norm, width, pads, dtype))


def least_constant(kind: Kind, norm: float, width: int, pads: int, dtype: str) -> float:
    """The least power of two whose square swallows, in rounding, |h|^2 (twice for a layer norm)
    however it is summed, and the host's own eps."""
    u = unit_roundoff(dtype)
    squares = (2 if kind == "layer" else 1) * norm**2 * (1 + gamma(width + 2, dtype))
    largest = max(squares, EPS[kind] * width / pads) / u
    return 2.0 ** math.ceil(math.log2(largest) / 2)


def stream_norm(model: Stack) -> float:
    """A bound on the length of the stream at every token and place of every prompt that is within
    the hypotheses, from the stored weights and the Spec."""
    bounds = embedded(model.spec, model.residual, model.gains.input_radius)
    kinds = Kinds(model.spec.n)
    longest = _longest(bounds)
    wanted = needed(model.layers, moves)
    for layer, after in zip(model.layers, wanted[1:], strict=True):
        matter = {kind for kind in range(kinds.count) if kinds.roles[kind] in after}
        bounds, _, _ = attended(model, layer, bounds, matter)
        longest = max(longest, _longest(bounds))
        if layer.mlp is not None:
            W_1, W_2 = (
                np.asarray(weight[...], np.float64) for weight in (layer.mlp.W_1, layer.mlp.W_2)
            )
            bounds = after_mlp(bounds, W_1, W_2)
            longest = max(longest, _longest(bounds))
    return longest


def _longest(bounds: Bounds) -> float:
    """The longest stream of any kind of token."""
    residual = bounds.residual
    parts = np.stack(
        [np.linalg.norm(bounds.center[:, residual.where(name)], axis=1) for name in residual.names],
        axis=1,
    )
    parts += bounds.radius
    parts[:, residual.names.index("e")] += bounds.coded[:, 0]
    return float(np.sqrt((parts**2).sum(1)).max())
