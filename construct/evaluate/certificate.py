"""The certificate of the restricted evaluator: no token attends outside a layer's declared support,
whatever the prompt.

From the stored weights and the Spec alone, the bounds of `construct.evaluate.bounds` are carried
through the layers. At each layer every score outside the support is bounded from above and the best
score inside it from below, for every kind of query token, kind of key token and head; the
difference must be at least the coldness T, and after the rounding of both scores still enough to
make that key's softmax weight exactly 0 in the dtype. The bounds use the theorem's hypotheses as
the evaluator checks them on every prompt: labels and all tasks' outputs are within the radius,
inputs within the input radius.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from construct import checks
from construct.evaluate.bounds import (
    Bounds,
    Kinds,
    code_range,
    embedded,
    matrix_norm,
    mlp,
    pair_range,
)
from construct.evaluate.plan import moves
from construct.evaluate.program import gathering, needed
from construct.evaluate.supports import GATHERS, keys_of
from construct.floats import gamma, hard_gap
from construct.layers import Heads, Layer, Stack, Support, remembered
from construct.residual import position_code
from construct.roles import BOS


class NoCertificate(ValueError):
    """The weights have no certificate: the dense evaluator alone can answer with them."""


@dataclass(frozen=True)
class Certificate:
    """gaps: by layer that attends, the least certified gap between the winner and a key outside the
    support (infinite: every key is inside). flaw: what stands against the restricted evaluator, or
    None."""

    gaps: tuple[tuple[str, float], ...]
    flaw: str | None

    @property
    def valid(self) -> bool:
        """Whether every score outside the declared supports is at least T below the winner."""
        return self.flaw is None

    def require(self) -> None:
        """Raise NoCertificate if the certificate is not valid."""
        if self.flaw is not None:
            error = checks.refuse(
                "evaluator",
                "'restricted'",
                f"needs weights with a certificate, but {self.flaw}",
                "use evaluator='dense'",
            )
            raise NoCertificate(*error.args)


def certificate(model: Stack) -> Certificate:
    """The certificate of the weights that the model holds now, remembered while it holds the same
    arrays."""
    return remembered(model, ("certificate",), lambda: _certificate(model))


def _certificate(model: Stack) -> Certificate:
    spec, gains = model.spec, model.gains
    flaws = list(_structure(model))
    bounds, gaps, kinds = embedded(spec, model.residual, gains.input_radius), [], Kinds(spec.n)
    wanted = needed(model.layers, moves)
    for layer, after in zip(model.layers, wanted[1:], strict=True):
        matter = {kind for kind in range(kinds.count) if kinds.roles[kind] in after}
        bounds, gap, computed = attended(model, layer, bounds, matter)
        if layer.mlp is not None:
            W_1, W_2 = (
                np.asarray(weight[...], np.float64) for weight in (layer.mlp.W_1, layer.mlp.W_2)
            )
            bounds = mlp(bounds, W_1, W_2)
        if not moves(layer):
            continue
        gaps.append((layer.name, gap))
        if not gap >= gains.T:
            flaws.append(
                f"in {layer.name} a key outside the support may come within {gap:.4g} of the "
                f"winner, less than T = {gains.T:g}"
            )
        elif not computed >= hard_gap(spec.dtype):
            flaws.append(
                f"in {layer.name} the scores round by so much that the computed gap may be "
                f"{computed:.4g}, at which a loser's "
                f"softmax weight is not exactly 0 in {spec.dtype}"
            )
    return Certificate(tuple(gaps), flaws[0] if flaws else None)


def shorter_weights(model: Stack) -> str:
    """Which floats, shorter than the Spec's, some weights were cast to; empty if none were."""
    least = np.dtype(model.spec.dtype).itemsize
    found = {str(one.dtype) for one in model.weights if one.dtype.itemsize < least}
    return f"weights of {', '.join(sorted(found))}" if found else ""


def _structure(model: Stack) -> Iterator[str]:
    """What the evaluator takes for granted of the weights, where it is not so."""
    if flaw := shorter_weights(model):
        yield f"it has {flaw}"
    held = {layer.name for layer in model.layers}
    if gone := [name for name in model.readout.layers if name not in held]:
        yield f"it has no layer {gone[0]!r}"
    if not model.gains.hard:
        yield (
            f"at coldness {model.gains.T:g} a loser's softmax weight is not exactly 0 "
            "in "
            f"{model.spec.dtype}"
        )
    codes = model.residual.where("e")
    for layer in model.layers:
        if not all(bank.idle for bank in layer.banks) and not moves(layer):
            yield f"no head of {layer.name} moves anything"
        written = [np.asarray(bank.W_O[...])[:, codes] for bank in layer.banks] + (
            [] if layer.mlp is None else [np.asarray(layer.mlp.W_2[...])[codes]]
        )
        if any(rows.any() for rows in written):
            yield f"{layer.name} writes to e, which must stay the code of a token's example"
    gathers = [model.layers[i].name for i in gathering(model.layers, moves)]
    if len(gathers) != 1:
        yield (
            "one layer must gather over all examples, and here "
            f"{' and '.join(gathers) or 'none'} {'do' if gathers else 'does'}"
        )


def attended(
    model: Stack, layer: Layer, bounds: Bounds, matter: set[int]
) -> tuple[Bounds, float, float]:
    """The bounds after a layer's attention, and the least certified gap of the kinds that matter:
    exactly, and after rounding.

    Kinds that do not matter may attend to anything that they see: they are keys still, though
    nobody reads them.
    """
    kinds, hard = Kinds(model.spec.n), hard_gap(model.spec.dtype)
    center, radius = np.zeros_like(bounds.center), np.zeros_like(bounds.radius)
    least = computed = np.inf
    for bank in layer.banks:
        if not moves(bank):
            continue
        scores = ScoreBounds(model, layer, bank, bounds)
        values = ValueBounds(bank, bounds)
        for q in range(kinds.count):
            support, sees, sure = inside(layer, kinds, q)
            low, high, error = scores.of(q)
            # The winner scores at least as much as any key of the support that is surely there.
            surely = (sure & (support["own"] | (q not in matter)))[:, None]
            winner = np.where(surely, low["own"], -np.inf).max(0)
            rounded = np.where(surely, low["own"] - error, -np.inf).max(0)
            reach = {}
            for group, keys in sees.items():
                if q in matter:
                    outside = (keys & ~support[group])[:, None]
                    least = min(
                        least,
                        float((winner - np.where(outside, high[group], -np.inf).max(0)).min()),
                    )
                    computed = min(
                        computed,
                        float(
                            (rounded - np.where(outside, high[group] + error, -np.inf).max(0)).min()
                        ),
                    )
                    keys = keys & support[group]
                reach[group] = keys[:, None] & (high[group] + error > rounded - hard)
            sum_of = values.moved(reach["own"], reach["other"], surely, low["own"], high["own"])
            center[q] += sum_of[0]
            radius[q] += sum_of[1]
    return bounds.plus(center, radius), least, computed


Groups = dict[str, Bool[np.ndarray, "kinds"]]


def inside(layer: Layer, kinds: Kinds, q: int) -> tuple[Groups, Groups, Bool[np.ndarray, "kinds"]]:
    """The kinds of keys in the support of a query token, and those that it may see: in its `own`
    group, and in `other` examples; and the kinds of the own group that are surely there and seen.

    BOS and the query count as of everybody's own group, where each kind is one token.
    """
    role, none = kinds.roles[q], np.zeros(kinds.count, bool)
    example, query, bos = kinds.mask(kinds.example), kinds.mask(kinds.query), kinds.mask([0])
    group = example if q in kinds.example else query if q in kinds.query else none
    reached = np.isin(kinds.roles, (*keys_of(layer.support, role), BOS))
    own = kinds.mask([q]) | bos if layer.support is Support.SELF else reached
    other = own & example if layer.support in GATHERS else none
    before = np.arange(kinds.count) <= q
    sees = (
        bos | (group & before) if layer.causal else bos | query | (example & (q in kinds.example))
    )
    # Other examples are there or not, and before a token or not; BOS sees none of them under a
    # causal mask.
    others = none if layer.causal and q == 0 else example
    return {"own": own, "other": other}, {"own": sees, "other": others}, sees


class ScoreBounds:
    """Bounds on a bank's scores: <W_Q h_q, W_K h_k> for every kind of key and head."""

    def __init__(self, model: Stack, layer: Layer, bank: Heads, bounds: Bounds) -> None:
        spec, residual, readout = model.spec, bounds.residual, model.readout
        self.kinds, self.bounds, self.excluded = (
            Kinds(spec.n),
            bounds,
            position_code(spec.m, spec.example_bits),
        )
        W_Q, W_K = (np.asarray(weight[...], np.float64) for weight in (bank.W_Q, bank.W_K))
        self.product = np.zeros((self.kinds.count, self.kinds.count, bank.count))
        self.itself = np.zeros((self.kinds.count, bank.count))
        if layer.name == readout.layer:
            rows = bank.rows(readout.term)
            self.product, self.itself = self._outputs(model, W_Q[:, rows], W_K[:, rows])
            W_Q, W_K = (np.delete(W, np.r_[rows], axis=1) for W in (W_Q, W_K))
        self.Q, self.K = W_Q, W_K
        self.q_center, self.k_center = (bounds.at_centers(W) for W in (W_Q, W_K))
        e = residual.where("e")
        self.q_code, self.k_code = W_Q[:, :, e], W_K[:, :, e]
        self.form = np.einsum("hrb,hrc->hbc", self.q_code, self.k_code)
        # A score is a sum of so many products, each at most this in magnitude, and of the outputs'
        # rows.
        self.roundings = gamma(sum(size for _, size in bank.terms) + 4, spec.dtype)
        self.q_largest, self.k_largest = bounds.largest_rows(W_Q), bounds.largest_rows(W_K)

    def _outputs(
        self, model: Stack, query: np.ndarray, key: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """|<q, k>| <= |q| |k| for the rows whose key side is a task's output, whose norm the
        theorem bounds (less y, perhaps).

        (kinds, kinds, H), and (kinds, H) how large it can be where a token meets itself: a negative
        multiple of a square.
        """
        spec, bounds, readout = model.spec, self.bounds, model.readout
        limit = spec.radius + readout.norm_slack(spec, model.gains)
        rows = key if readout.less is None else key + bounds.residual[readout.less]
        inputs = self.kinds.mask([*self.kinds.query[:-1], *self.kinds.example[:-1]])
        output = np.where(inputs[:, None], np.minimum(limit, self._norm(rows)), self._norm(rows))
        keys = np.minimum(self._norm(key), output + self._norm(key - rows))
        # W_Q is a multiple of W_K up to its rounding, where that is so.
        square = (key**2).sum((1, 2))
        factor = np.where(
            square > 0, (query * key).sum((1, 2)) / np.where(square > 0, square, 1), 0
        )
        rest = self._norm(query - factor[:, None, None] * key)
        queries = np.minimum(self._norm(query), np.abs(factor) * keys + rest)
        return queries[:, None] * keys[None], np.where(factor < 0, rest, queries) * keys

    def _norm(self, rows: Float[np.ndarray, "H rank D"]) -> Float[np.ndarray, "kinds H"]:
        """The largest norm of rows @ h by kind of token and head."""
        center = np.linalg.norm(self.bounds.at_centers(rows), axis=-1)
        return center + self.bounds.uncertain(rows)

    def of(
        self, q: int
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], Float[np.ndarray, "kinds H"]]:
        """The least and largest score of each kind of key (kinds, H): in the query token's `own`
        group, or in `other` examples; and how far a computed one can be off."""
        example = self.kinds.mask(self.kinds.example)[:, None]
        a = self.q_center[q]
        base = np.einsum("hr,chr->ch", a, self.k_center)
        off = self._apart(q) + self.product[q]
        of_key = np.einsum("hr,hrb->hb", a, self.k_code)
        of_query = (
            np.einsum("chr,hrb->chb", self.k_center, self.q_code)
            if q in self.kinds.example
            else np.zeros((*base.shape, 1))
        )
        mine = code_range(of_query, self.excluded) if q in self.kinds.example else (0.0, 0.0)
        theirs = code_range(of_key, self.excluded)
        # One's own example has one's own index; the query and BOS have theirs in their center.
        both = code_range(of_key + of_query, self.excluded) if q in self.kinds.example else theirs
        same, differ = (
            (pair_range(self.form, same=flag)) if q in self.kinds.example else (0.0, 0.0)
            for flag in (True, False)
        )
        low, high = {}, {}
        for bound, i, sign in ((low, 0, -1), (high, 1, 1)):
            bound["own"] = base + sign * off + np.where(example, both[i] + same[i], mine[i])
            bound["other"] = (
                base + sign * off + np.where(example, mine[i] + theirs[i] + differ[i], mine[i])
            )
        high["own"][q] += self.itself[q] - self.product[q, q]
        error = self.roundings * (
            np.einsum("hr,chr->ch", self.q_largest[q], self.k_largest) + self.product[q]
        )
        return low, high, error

    def _apart(self, q: int) -> Float[np.ndarray, "kinds H"]:
        """How far the uncertain subspaces can move a score."""
        residual, radius = self.bounds.residual, self.bounds.radius
        example = self.kinds.mask(self.kinds.example)[:, None]
        bits = np.sqrt(len(self.excluded))
        total = np.zeros((self.kinds.count, self.Q.shape[0]))
        for i, name in enumerate(residual.names):
            query, key = self.Q[:, :, residual.where(name)], self.K[:, :, residual.where(name)]
            if radius[q, i] and query.any():
                total += radius[q, i] * np.linalg.norm(
                    np.einsum("hru,chr->chu", query, self.k_center), axis=-1
                )
                total += (
                    radius[q, i]
                    * bits
                    * example
                    * matrix_norm(np.einsum("hru,hrb->hub", query, self.k_code))
                )
                for j, other in enumerate(residual.names):
                    if radius[:, j].any() and (side := self.K[:, :, residual.where(other)]).any():
                        total += (
                            radius[q, i]
                            * radius[:, j, None]
                            * matrix_norm(np.einsum("hru,hrv->huv", query, side))
                        )
            if radius[:, i].any() and key.any():
                length = np.linalg.norm(np.einsum("hru,hr->hu", key, self.q_center[q]), axis=-1)
                length = length + (q in self.kinds.example) * bits * matrix_norm(
                    np.einsum("hru,hrb->hub", key, self.q_code)
                )
                total += radius[:, i, None] * length
        return total


class ValueBounds:
    """Bounds on what a bank of heads moves from each kind of key into each subspace."""

    def __init__(self, bank: Heads, bounds: Bounds) -> None:
        self.residual = bounds.residual
        W_V, W_O = (np.asarray(weight[...], np.float64) for weight in (bank.W_V, bank.W_O))
        value = bounds.at_centers(W_V)
        self.center = np.einsum("hdv,chv->chd", W_O, value, optimize=True)
        self.radius = np.zeros((*value.shape[:2], len(self.residual.names)))
        for i, name in enumerate(self.residual.names):
            written = W_O[:, self.residual.where(name)]
            if written.any():
                self.radius[:, :, i] = bounds.uncertain(written @ W_V)

    def moved(
        self,
        own: Bool[np.ndarray, "kinds H"],
        other: Bool[np.ndarray, "kinds H"],
        surely: Bool[np.ndarray, "kinds 1"],
        low: Float[np.ndarray, "kinds H"],
        high: Float[np.ndarray, "kinds H"],
    ) -> tuple[Float[np.ndarray, "D"], Float[np.ndarray, "subspaces"]]:
        """What the heads add together: a convex combination, by head, of what can be reached in the
        own group and elsewhere.

        A token of the own group weighs at most 1/(1 + the shares of those that are surely there),
        by the scores' bounds.
        """
        reach = own | other
        share = np.where(other, 1, np.where(own, 1 / (1 + self._others(surely, low, high)), 0))
        inner, outer = (np.where(reach[..., None], self.center, fill) for fill in (np.inf, -np.inf))
        middle = (inner.min(0) + outer.max(0)) / 2
        center, radius = middle.sum(0), np.zeros(len(self.residual.names))
        for i, name in enumerate(self.residual.names):
            where = self.residual.where(name)
            hull = np.where(
                reach, np.linalg.norm(self.center[..., where] - middle[:, where], axis=-1), 0
            ).max(0)
            ball = np.where(reach, self.radius[..., i], 0)
            radius[i] = (hull + np.minimum(ball.max(0), (share * ball).sum(0))).sum()
        return center, radius

    @staticmethod
    def _others(surely: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """By kind and head, the least of the sum over the other kinds that are surely there of
        exp(their score - its score)."""
        least = np.where(surely, low, -np.inf)
        shares = np.exp(np.minimum(least[None] - high[:, None], 0))
        shares[np.arange(len(low)), np.arange(len(low))] = 0
        return shares.sum(1)
