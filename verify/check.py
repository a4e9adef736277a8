"""Hold a transformer against its theorem: its structure, each layer's lemma on a trace, its
answers.

A theorem's `checks` are modules, one a layer. WRITES: the subspaces that the layer writes. asks:
the tokens (of the ideal stream after the layer) whose heads may read another key than BOS; at all
others every key but BOS is 2T behind. WINNERS_SCORE_0: every winner scores 0, within the spread of
the winners. expect(ideal): what the layer must leave behind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from construct import FeatureMap, Spec, Trace, Transformer
from construct.layout import AnyPrompt
from proofs.selection import Errors, Setting
from verify.ideal import Stream, ideal_streams
from verify.record import Theorem


@dataclass(frozen=True)
class Lemma:
    """One layer's lemma against one trace or several: of the subspaces that the layer writes, the
    one that comes nearest to its bound (of all subspaces, one that exceeds its bound), and the
    least score gap.

    required_gap: the coldness minus what the scores' rounding can take from a gap. least_gap is
    infinite where no head of the layer prefers any key. faults: what else of Lemma 0's hypotheses a
    head was seen to break, in words.
    """

    layer: int
    name: str
    subspace: str
    observed: float
    bound: float
    least_gap: float
    required_gap: float
    faults: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Positively: the error is within its bound, the gap as wide as it must be, and no fault
        was seen (NaN holds nothing)."""
        return (
            self.observed <= self.bound and self.least_gap >= self.required_gap and not self.faults
        )

    @property
    def tightness(self) -> tuple[bool, float]:
        """Orders lemmas by how near they come to failing."""
        if self.bound == 0:
            return (not self.observed <= 0, 0.0)
        return (not self.observed <= self.bound, self.observed / self.bound)


def worst(lemmas: Sequence[Lemma]) -> Lemma:
    """Of one layer's results, the nearest to failing, with the least gap of all."""
    first = max(lemmas, key=lambda lemma: lemma.tightness)
    gap = float(np.min([lemma.least_gap for lemma in lemmas]))
    faults = dict.fromkeys(fault for lemma in lemmas for fault in lemma.faults)
    return replace(first, least_gap=gap, faults=tuple(faults))


def check_structure(theorem: Theorem, model: Transformer, spec: Spec) -> list[str]:
    """What is wrong with the transformer's shape; empty when it has the theorem's layers of K
    heads, mask, and width."""
    wrong = []
    if len(model.layers) != len(theorem.checks):
        wrong.append(f"{len(model.layers)} layers, not {len(theorem.checks)}")
    for layer in model.layers:
        if layer.heads != spec.K:
            wrong.append(f"{layer.heads} heads in {layer.name}, not K = {spec.K}")
        if layer.causal != theorem.causal:
            wrong.append(
                f"{layer.name} "
                f"{'sees no token after its own' if layer.causal else 'sees tokens after its own'}"
            )
    width = theorem.width(spec)
    for layer in model.layers:
        for bank in layer.banks:
            if bank.W_Q.shape[-1] != width:
                wrong.append(
                    f"{layer.name} reads {bank.W_Q.shape[-1]} coordinates, not D = {width}"
                )
    if not width <= theorem.width_bound(spec):
        wrong.append(
            f"D = {width} exceeds {theorem.width_formula(spec)} = {theorem.width_bound(spec):.2f}"
        )
    return wrong


class Seen(NamedTuple):
    """What a run showed of one layer: by subspace the largest distance from the ideal stream, the
    least score gap, by token the most near losers of any head, and by head and token the best score
    of a key other than BOS."""

    distances: Mapping[str, float]
    least_gap: float
    near: Int[np.ndarray, "N"]
    best: Float[np.ndarray, "K N"]


def check_lemmas(
    theorem: Theorem,
    model: Transformer,
    tasks: Sequence[Any],
    prompt: AnyPrompt,
    feature_map: FeatureMap | None = None,
    *,
    trace: Trace | None = None,
) -> list[Lemma]:
    """Run one prompt (or take its `trace`) and hold every layer's residual stream and score gaps
    against its lemma."""
    spec = model.spec
    verdict = theorem.judge(spec, tasks, prompt, feature_map)
    if trace is None:  # the oracle has judged the prompt; the weights are on trial
        trace = model.trace(prompt, attention=False, enforce=False)
    setting = theorem.proof.setting(spec, prompt)
    bounds = theorem.proof.errors(setting)
    streams = ideal_streams(theorem, spec, tasks, prompt, verdict)
    next(streams)
    lemmas = []
    for i, (layer, ideal) in enumerate(zip(model.layers, streams, strict=True)):
        name = layer.name
        distances = {
            subspace: _distance(trace.read(name, subspace), ideal[subspace])
            for subspace in model.residual.names
        }
        seen = Seen(
            distances, float(trace.gaps[name].min()), trace.near[name].max(0), trace.best[name]
        )
        lemmas.append(check_lemma(theorem, setting, i, bounds[i], ideal, seen))
    return lemmas


def check_lemma(
    theorem: Theorem, setting: Setting, index: int, bounds: Errors, ideal: Stream, seen: Seen
) -> Lemma:
    """Hold what was seen of layer `index` (from 0) against its lemma, whose bounds these are."""
    spec, gains, check = setting.spec, setting.gains, theorem.checks[index]
    layer = gains.score_error[index][0]
    apart = gains.spread(layer)
    # Winners that tie exactly do so in floats too.
    winner = apart + gains.error(layer) if apart else 0.0
    faults = _selection_faults(
        check, theorem.lemmas[index].near(spec), gains.T, winner, ideal, seen
    )
    results = [
        Lemma(
            index + 1,
            layer,
            name,
            distance,
            bound_of(bounds, name, spec),
            seen.least_gap,
            gains.T - 2 * gains.error(layer),
            faults,
        )
        for name, distance in seen.distances.items()
    ]
    return worst(
        [one for one in results if one.subspace in check.WRITES or not one.observed <= one.bound]
    )


def _selection_faults(
    check: ModuleType, allowed: int, T: float, winner: float, ideal: Stream, seen: Seen
) -> tuple[str, ...]:
    """Hypotheses of Lemma 0 beyond the least gap: at tokens that ask, at most `allowed` losers are
    near, at all others none; and where winners score 0, they do so up to `winner`."""
    faults, near = [], seen.near
    asking = check.asks(ideal)
    if near[asking].max(initial=0) > allowed:
        faults.append(f"{near[asking].max()} losers are less than 2T behind, not {allowed}")
    if near[~asking].any():
        faults.append(
            f"{near[~asking].max()} losers are less than 2T behind at a token that should read "
            "BOS alone"
        )
    # BOS as a query token has position code 0, and no claim is made of its scores.
    best = seen.best[:, 1:]
    off = best[~(np.abs(best) <= winner) & ~(best <= -T)]
    if check.WINNERS_SCORE_0 and off.size:
        faults.append(f"a winner scores {off[np.abs(off).argmax()]:.6g}, not 0")
    return tuple(faults)


def bound_of(errors: Errors, subspace: str, spec: Spec) -> float:
    """The bound on a subspace; x carries the features too when phi is the identity."""
    return max(errors.x, errors.f) if subspace == "x" and not spec.features else errors.of(subspace)


def answer_error(answer: np.ndarray, vector: np.ndarray) -> float:
    """The distance of an answer from the superposition, in max norm; NaN if anything is not a
    number."""
    return _distance(answer, vector)


def _distance(actual: np.ndarray, ideal: np.ndarray) -> float:
    """The largest difference of a coordinate; NaN if anything is not a number."""
    return float(np.max(np.abs(actual.astype(np.float64) - ideal)))
