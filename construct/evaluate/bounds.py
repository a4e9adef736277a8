"""Bounds on a residual stream that hold for every prompt of a Spec: a center and a radius by kind
of token and subspace.

Kinds of tokens: BOS, each slot of the query, each slot of an example. A flag or a slot's code is a
center of radius 0, a vector that the prompt may choose is a ball around 0. An example's index is
neither: it is any code but the query's, the same for all tokens of an example and another one for
every other example; whoever needs it asks `code_range`.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from construct.residual import Residual, position_code
from construct.roles import BOS, EXAMPLE, QUERY, ROLES, roles_of
from construct.spec import Spec


@dataclass(frozen=True)
class Kinds:
    """The kinds of tokens in order: BOS, n slots of the query, n slots of an example."""

    n: int

    @property
    def count(self) -> int:
        """2 n + 1."""
        return 2 * self.n + 1

    @property
    def query(self) -> range:
        """The query's slots; the last is the answer token."""
        return range(1, self.n + 1)

    @property
    def example(self) -> range:
        """An example's slots; the last is its label."""
        return range(self.n + 1, 2 * self.n + 1)

    @property
    def roles(self) -> list[str]:
        """The role of each kind."""
        return [BOS] + [
            role.name
            for group in (QUERY, EXAMPLE)
            for role in roles_of(group)
            for _ in role.slots(self.n)
        ]

    def mask(self, kinds: range | list[int]) -> np.ndarray:
        """Which kinds are among these."""
        return np.isin(np.arange(self.count), list(kinds))


@dataclass(frozen=True)
class Bounds:
    """What is known of a stream: centers (kinds, D), radii (kinds, subspaces) in Euclidean norm; e
    of examples is left out."""

    residual: Residual
    center: Float[np.ndarray, "kinds D"]
    radius: Float[np.ndarray, "kinds subspaces"]

    @property
    def coded(self) -> Float[np.ndarray, "kinds 1"]:
        """The length of the code that an example's tokens hold besides their center, 0 for
        others."""
        example = Kinds((len(self.center) - 1) // 2).example
        return (
            np.sqrt(self.residual.size("e"))
            * np.isin(np.arange(len(self.center)), list(example))[:, None]
        )

    def at_centers(
        self, matrix: Float[np.ndarray, "H rows D"]
    ) -> Float[np.ndarray, "kinds H rows"]:
        """matrix @ center, by kind and head."""
        return np.moveaxis(matrix @ self.center.T, 2, 0)

    def uncertain(self, matrix: Float[np.ndarray, "H rows D"]) -> Float[np.ndarray, "kinds H"]:
        """How far matrix @ h can be from matrix @ center, by kind and head: the sum of norm times
        radius over the subspaces, and what an example's code adds."""
        norms = [
            matrix_norm(matrix[:, :, self.residual.where(name)]) for name in self.residual.names
        ]
        return self.radius @ np.stack(norms) + self.coded * matrix_norm(
            matrix[:, :, self.residual.where("e")]
        )

    def largest_rows(
        self, matrix: Float[np.ndarray, "H rows D"]
    ) -> Float[np.ndarray, "kinds H rows"]:
        """The largest magnitude of each row of matrix @ h, by kind and head."""
        lengths = np.stack(
            [
                np.linalg.norm(matrix[:, :, self.residual.where(name)], axis=-1)
                for name in self.residual.names
            ]
        )
        code = np.linalg.norm(matrix[:, :, self.residual.where("e")], axis=-1)
        exact = np.abs(self.at_centers(matrix))
        return (
            exact + np.einsum("cs,shr->chr", self.radius, lengths) + self.coded[:, :, None] * code
        )

    def plus(
        self, center: Float[np.ndarray, "kinds D"], radius: Float[np.ndarray, "kinds subspaces"]
    ) -> "Bounds":
        """These bounds with something added to the stream."""
        return replace(self, center=self.center + center, radius=self.radius + radius)


def matrix_norm(matrix: Float[np.ndarray, "H rows columns"]) -> Float[np.ndarray, "H"]:
    """An upper bound of the spectral norm: the lesser of the Frobenius norm and sqrt(|.|_1
    |.|_inf)."""
    if not matrix.any():  # most blocks
        return np.zeros(len(matrix))
    size = np.abs(matrix)
    return np.minimum(
        np.sqrt((size**2).sum((1, 2))), np.sqrt(size.sum(1).max(1) * size.sum(2).max(1))
    )


def embedded(spec: Spec, residual: Residual, input_radius: float) -> Bounds:
    """The stream before the first layer."""
    kinds, n = Kinds(spec.n), spec.n
    center = np.zeros((kinds.count, residual.dim))
    radius = np.zeros((kinds.count, len(residual.names)))
    ball = {name: radius[:, i] for i, name in enumerate(residual.names)}

    for kind, name in enumerate(kinds.roles):
        for flag in ROLES[name].flags:
            center[kind, residual.where(flag)] = 1
        if (content := ROLES[name].content) is not None:
            ball[content][kind] = {"x": input_radius, "y": spec.radius}[content]
    for group in (kinds.query, kinds.example):
        for slot, kind in enumerate(group):
            center[kind, residual.where("s")] = position_code(slot, spec.slot_bits)
    center[list(kinds.query), residual.where("e")] = position_code(spec.m, spec.example_bits)
    if spec.sum_slot:
        blank = [kinds.query[n - 2], kinds.example[n - 2]]
        center[blank, residual.where("sum")] = 1
        ball["x"][blank] = 0
    return Bounds(residual, center, radius)


def code_range(
    weight: Float[np.ndarray, "*shape bits"], excluded: Float[np.ndarray, "bits"]
) -> tuple[np.ndarray, np.ndarray]:
    """The least and largest <weight, v> over all +-1 codes v but one."""
    total, least = np.abs(weight).sum(-1), 2 * np.abs(weight).min(-1)
    along = weight * excluded
    return -(total - least * (along < 0).all(-1)), total - least * (along > 0).all(-1)


def pair_range(form: Float[np.ndarray, "H bits bits"], same: bool) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of u^T form v over +-1 codes u, v that are equal, or that differ in a bit at least."""
    diagonal = np.diagonal(form, axis1=1, axis2=2)
    off = np.abs(form).sum((1, 2)) - np.abs(diagonal).sum(-1)
    if same:
        return diagonal.sum(-1) - off, diagonal.sum(-1) + off
    total, least = np.abs(diagonal).sum(-1), 2 * np.abs(diagonal).min(-1)
    return -total - off, total - least * (diagonal > 0).all(-1) + off


def mlp(bounds: Bounds, W_1: Float[np.ndarray, "w D"], W_2: Float[np.ndarray, "D w"]) -> Bounds:
    """The stream after a residual ReLU MLP: exact where it reads one uncertain coordinate, else
    ReLU moves nothing apart."""
    residual = bounds.residual
    sizes = np.array([residual.size(name) for name in residual.names])
    reads = np.array([W_1[:, residual.where(name)].any() for name in residual.names])
    center, radius = np.zeros_like(bounds.center), np.zeros_like(bounds.radius)
    write = np.array([matrix_norm(W_2[None, residual.where(name)])[0] for name in residual.names])
    apart = bounds.uncertain(W_1[None])[:, 0]
    for kind, middle in enumerate(bounds.center @ W_1.T):
        free = reads & (bounds.radius[kind] > 0)
        coded = bounds.coded[kind, 0] > 0 and W_1[:, residual.where("e")].any()
        if not coded and free.sum() == 1 and (sizes[free] == 1).all():
            name = residual.names[int(np.flatnonzero(free)[0])]
            low, high = _range(
                W_2, middle, W_1[:, residual.where(name)][:, 0], float(bounds.radius[kind][free][0])
            )
            center[kind] = (low + high) / 2
            radius[kind] = [
                np.linalg.norm((high - low)[residual.where(name)] / 2) for name in residual.names
            ]
        else:
            center[kind] = W_2 @ np.maximum(middle, 0)
            radius[kind] = write * apart[kind]
    return bounds.plus(center, radius)


def _range(
    W_2: np.ndarray, middle: np.ndarray, slope: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """The least and largest W_2 relu(middle + slope t) for |t| <= radius: piecewise linear, so at
    an end or a corner."""
    corners = -middle[slope != 0] / slope[slope != 0]
    t = np.concatenate([[-radius, radius], corners[np.abs(corners) <= radius]])
    values = W_2 @ np.maximum(middle[:, None] + slope[:, None] * t, 0)
    return values.min(1), values.max(1)
