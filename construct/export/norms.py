"""Normalizations made an identity, so that hosts that have them compute the theorem's stream.

A *frame* says how a host's stream holds the theorem's stream h. Every frame can be written and read
by matrices, so a layer of the theorem is a layer of the host.

none    h and nothing else.
rms     h, zeros, and p coordinates that hold a constant C which no layer writes. RMSNorm divides by
        the root of the mean square, (|h|^2 + p C^2)/E: with p = E/4^j and a weight of C/2^j it
        returns h, up to a factor (1 + |h|^2/(p C^2))^(-1/2).
layer   pads that hold C and as many that hold -C, then h and -h, and zeros. The mean is 0, the
        variance (2 |h|^2 + p C^2)/E; rows read the difference of the two copies, by (W, -W)/2.

C is the least power of two at which what h adds to the mean square is lost in rounding, by the
lemmas of `proofs.export.norms`: the computed norm is then the identity to the last bit. A layer
norm's variance is computed by updates, vector by vector: so a pad and its opposite stand one vector
of 64 bytes apart, with zeros between, where processors that have vectors of 32 or 64 bytes add them
to the same lane, first of all and exactly. Ours.
"""

import itertools
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
from construct.lines import WORDS
from construct.spec import Spec
from construct.words import input_slots

Kind = Literal["none", "rms", "layer"]
# What a host adds to the mean square before it takes the root.
EPS = {"none": 0.0, "rms": 1e-6, "layer": 1e-5}


# Bytes of the widest vectors that processors update moments by, and of the narrowest for which a
# pad and its opposite are still added exactly.
WIDE, NARROW = 64, 32


@dataclass(frozen=True)
class Frame:
    """How a host's stream of `width` coordinates holds a theorem's stream of `dim`.

    pads: how many coordinates hold the constant C (or -C); apart: how far a pad's opposite stands
    from it (layer norms); gain: the weight of every norm.
    """

    kind: Kind
    dim: int
    width: int
    pads: int = 0
    C: float = 0.0
    apart: int = 0

    def __post_init__(self) -> None:
        assert self.used + (self.pads if self.kind == "rms" else 0) <= self.width, "all of it fits"
        assert self.kind == "none" or self.width == self.pads * self.share**2, "the root is exact"

    @property
    def copies(self) -> int:
        """How many times the host's stream holds h: twice (h and -h) for a layer norm."""
        return 2 if self.kind == "layer" else 1

    @property
    def start(self) -> int:
        """The coordinate where h begins: after the pads of a layer norm."""
        return 2 * self.apart

    @property
    def used(self) -> int:
        """The coordinates up to the end of h."""
        return self.start + self.copies * self.dim

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
            # Every other pair the other way round, so that what their means round cancels too.
            signed = self.C * (-1.0) ** np.arange(self.pads // 2)
            held[: len(signed)] = signed
            held[self.apart : self.apart + len(signed)] = -signed
        return held

    def hold(self, rows: Float[np.ndarray, "*shape dim"]) -> Float[np.ndarray, "*shape width"]:
        """Vectors of the theorem's stream in the host's, without the constants."""
        held = np.zeros((*rows.shape[:-1], self.width), rows.dtype)
        for copy in range(self.copies):
            held[..., self._copy(copy)] = -rows if copy else rows
        return held

    def reading(self, rows: Float[np.ndarray, "rows dim"]) -> Float[np.ndarray, "rows width"]:
        """Rows that read h off the normed stream, as rows that read the host's."""
        return self.hold(rows) / self.copies

    def unread(self, rows: Float[np.ndarray, "*shape width"]) -> Float[np.ndarray, "*shape dim"]:
        """What rows of a host read of h."""
        first = rows[..., self._copy(0)]
        return first if self.copies == 1 else first - rows[..., self._copy(1)]

    def unheld(self, rows: Float[np.ndarray, "*shape width"]) -> Float[np.ndarray, "*shape dim"]:
        """The theorem's stream that a host's holds."""
        return self.unread(rows) / self.copies

    def _copy(self, copy: int) -> slice:
        return slice(self.start + copy * self.dim, self.start + (copy + 1) * self.dim)


def frame(
    kind: Kind, dim: int, *, norm: float, dtype: str, multiple: int = 1, least: int = 1
) -> Frame:
    """The narrowest frame whose width is a multiple of `multiple` (for heads of equal size), and at
    least `least`.

    norm: a bound on |h| at every token and place where a norm stands.
    """
    if kind == "none":
        return Frame(kind, dim, dim)
    bytes_each = np.dtype(dtype).itemsize
    apart = WIDE // bytes_each if kind == "layer" else 0
    most = 2 * (NARROW // bytes_each) if kind == "layer" else math.inf
    copies, even = (2, 4) if kind == "layer" else (1, 1)
    widths: dict[int, int] = {}
    for j in itertools.count(1):
        # Pads of a layer norm stand in coordinates that are set aside, others beside h.
        room = 4**j if kind == "layer" else 4**j - 1
        pads = max(math.ceil((2 * apart + copies * dim) / room), math.ceil(least / 4**j))
        while pads % even or pads * 4**j % multiple:
            pads += 1
        if pads <= most:
            widths[j] = pads * 4**j
        if pads == even:
            break
    j = min(widths, key=lambda j: (widths[j], -j))
    width, pads = widths[j], widths[j] // 4**j
    return Frame(kind, dim, width, pads, least_constant(kind, norm, width, pads, dtype), apart)


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
    if model.readout.layout is WORDS:
        return words_norm(model.spec)
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


def words_norm(spec: Spec) -> float:
    """The same for Theorem 4: by subspace, the longest that a token can hold.

    x, and own by slot: one word. w, g, c: each coordinate is in [0, 1], so is omega, a mean of c.
    y: each task adds omega_i in one word. ok, and the flags that a token has: 1 each, one and a
    role. Leaks and rounding are below a quarter, which the plateaus of the layers' MLPs allow.
    """
    S, K = input_slots(spec), spec.K
    squares = 1 + S + 4 * K + K**2 + 1 + 2
    return math.sqrt(squares * (1 + 1 / 4) ** 2 + spec.example_bits + spec.slot_bits)


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
