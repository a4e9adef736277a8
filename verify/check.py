"""Hold a transformer against its theorem, Theorem 1 unless told: its structure, each layer's lemma
on the trace, its answers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np
from jaxtyping import Float, Int

from construct import FeatureMap, Prompt, Spec, Task, Trace, Transformer, build
from construct.theorem1 import SEVEN as LAYERS
from construct.theorem1.gains import derive, largest_scores
from construct.theorem1.stream import embedding_bound
from proofs import theorem1 as proof
from proofs.selection import Errors, Setting
from verify.ideal import Stream, ideal_streams
from verify.oracle import judge
from verify.theorem import BOUNDED, DECIDED, Theorem
from verify.theorem1 import (
    layer1_lift,
    layer2_pair,
    layer3_recognize,
    layer4_commit,
    layer5_fetch,
    layer6_execute,
    layer7_superpose,
)

SEVEN = (
    layer1_lift,
    layer2_pair,
    layer3_recognize,
    layer4_commit,
    layer5_fetch,
    layer6_execute,
    layer7_superpose,
)


def _width(spec: Spec) -> int:
    return (
        2 * spec.d
        + spec.features
        + math.ceil(math.log2(spec.m + 1))
        + math.ceil(math.log2(spec.n))
        + 9
        + spec.sum_slot
    )


def _width_formula(spec: Spec) -> str:
    return f"2d + r + log2(mn) + {11 + spec.sum_slot}"


THEOREM1 = Theorem(
    number=1,
    build=build,
    derive=derive,
    checks=SEVEN,
    lemmas=proof.SEVEN,
    proof=proof,
    largest_scores=largest_scores,
    width=_width,
    width_bound=embedding_bound,
    width_formula=_width_formula,
    layers=LAYERS,
    source="Xiong et al., 2024; layers, lemmas and bounds are ours",
    statement="A seven layer transformer with embedding dimension O(d + log(mn)) with K heads per "
    "attention layer can perform K "
    "tasks on vectors of dimension d in superposition, with weighting based on m different "
    "in-context examples each of length n.",
    hypotheses=(
        BOUNDED,
        DECIDED,
        "A sum slot is blank. Examples that no task or several explain are left out.",
    ),
)


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


def check_structure(model: Transformer, spec: Spec, theorem: Theorem = THEOREM1) -> list[str]:
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


def check_prompt(
    model: Transformer,
    tasks: Sequence[Task],
    prompt: Prompt,
    feature_map: FeatureMap | None = None,
    input_norm: float | None = None,
    trace: Trace | None = None,
    theorem: Theorem = THEOREM1,
) -> list[Lemma]:
    """Run one prompt (or take its `trace`) and hold every layer's residual stream and score gaps
    against its lemma."""
    spec = model.spec
    verdict = judge(tasks, prompt, spec.tolerance, spec.margin, feature_map, spec.sum_slot)
    if trace is None:  # the oracle has judged the prompt; the weights are on trial
        trace = model.trace(prompt, attention=False, enforce=False)
    setting = theorem.proof.setting(spec, prompt.tokens, input_norm)
    bounds = theorem.proof.errors(setting)
    streams = ideal_streams(
        theorem.checks, spec, tasks, prompt, verdict, blocks=theorem.blocks(spec)
    )
    next(streams)
    lemmas = []
    for i, (layer, ideal) in enumerate(zip(model.layers, streams, strict=True)):
        name = layer.name
        distances = {
            subspace: _distance(trace.read(name, subspace), ideal[subspace])
            for subspace in model.residual.names
        }
        lemmas.append(
            hold(
                setting,
                i,
                bounds[i],
                ideal,
                distances,
                float(trace.gaps[name].min()),
                trace.near[name].max(0),
                trace.best[name],
                theorem,
            )
        )
    return lemmas


def hold(
    setting: Setting,
    index: int,
    bounds: Errors,
    ideal: Stream,
    distances: Mapping[str, float],
    least_gap: float,
    near: Int[np.ndarray, "N"],
    best: Float[np.ndarray, "K N"],
    theorem: Theorem = THEOREM1,
) -> Lemma:
    """Hold what was seen of layer `index` (from 0) against its lemma: distances from the ideal
    stream by subspace, the least gap, by token the most near losers of any head, and by head and
    token the best score of a key other than BOS."""
    spec, gains, check = setting.spec, setting.gains, theorem.checks[index]
    layer = gains.score_error[index][0]
    apart = gains.spread(layer)
    # Winners that tie exactly do so in floats too.
    winner = apart + gains.error(layer) if apart else 0.0
    faults = _selection_faults(
        check, theorem.lemmas[index].near(spec), gains.T, winner, ideal, near, best
    )
    results = [
        Lemma(
            index + 1,
            layer,
            name,
            distance,
            bound_of(bounds, name, spec),
            least_gap,
            gains.T - 2 * gains.error(layer),
            faults,
        )
        for name, distance in distances.items()
    ]
    return worst(
        [one for one in results if one.subspace in check.WRITES or not one.observed <= one.bound]
    )


def _selection_faults(
    check: ModuleType,
    allowed: int,
    T: float,
    winner: float,
    ideal: Stream,
    near: Int[np.ndarray, "N"],
    best: Float[np.ndarray, "K N"],
) -> tuple[str, ...]:
    """Hypotheses of Lemma 0 beyond the least gap: few losers are near, none at tokens outside the
    layer's business, and a winner of a folded layer scores at most `winner` from 0."""
    faults = []
    concerned = check.concerned(ideal)
    if near[concerned].max(initial=0) > allowed:
        faults.append(f"{near[concerned].max()} losers are less than 2T behind, not {allowed}")
    if near[~concerned].any():
        faults.append(
            f"{near[~concerned].max()} losers are less than 2T behind at a token that should read "
            "BOS alone"
        )
    # BOS as a query token has position code 0, and no claim is made of its scores.
    off = best[:, 1:][~(np.abs(best[:, 1:]) <= winner) & ~(best[:, 1:] <= -T)]
    if check.FOLDED and off.size:
        faults.append(f"a winner scores {off[np.abs(off).argmax()]:.6g}, not 0")
    return tuple(faults)


def bound_of(errors: Errors, subspace: str, spec: Spec) -> float:
    """The bound on a subspace; x carries the features too when phi is the identity."""
    return max(errors.x, errors.f) if subspace == "x" and not spec.features else errors.of(subspace)


def _distance(actual: np.ndarray, ideal: np.ndarray) -> float:
    """The largest difference of a coordinate; NaN if anything is not a number."""
    return float(np.max(np.abs(actual.astype(np.float64) - ideal)))


def answer_error(answer: np.ndarray, vector: np.ndarray) -> float:
    """The distance of an answer from the superposition, in max norm."""
    return _distance(answer, vector)
