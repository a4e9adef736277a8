"""Hold a transformer against Theorem 1: its structure, each layer's lemma on the trace, and its answers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from construct import FeatureMap, Prompt, Spec, Task, Transformer
from construct.theorem1.stream import embedding_bound
from proofs import theorem1 as proof
from proofs.selection import Errors
from verify.oracle import judge
from verify.theorem1 import (
    layer1_lift,
    layer2_pair,
    layer3_recognize,
    layer4_commit,
    layer5_fetch,
    layer6_execute,
    layer7_superpose,
)
from verify.theorem1.ideal import ideal_streams

SEVEN = (
    layer1_lift,
    layer2_pair,
    layer3_recognize,
    layer4_commit,
    layer5_fetch,
    layer6_execute,
    layer7_superpose,
)


@dataclass(frozen=True)
class Lemma:
    """One layer's lemma against one trace or several: of the subspaces that the layer writes, the one that comes nearest to
    its bound (of all subspaces, one that exceeds its bound), and the least score gap.

    required_gap: the coldness minus what the scores' rounding can take from a gap. least_gap is infinite where no head of
    the layer prefers any key. near: the most losers of any head and token that are less than 2T behind, of near_bound.
    """

    layer: int
    name: str
    subspace: str
    observed: float
    bound: float
    least_gap: float
    required_gap: float
    near: int
    near_bound: int

    @property
    def holds(self) -> bool:
        """Positively: the error is within its bound, the gap as wide as it must be, no more losers near than the lemma says."""
        return self.observed <= self.bound and self.least_gap >= self.required_gap and self.near <= self.near_bound

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
    return replace(first, least_gap=gap, near=max(lemma.near for lemma in lemmas))


def check_structure(model: Transformer, spec: Spec) -> list[str]:
    """What is wrong with the transformer's shape; empty when it has 7 layers of K heads and the stated width."""
    wrong = []
    if len(model.layers) != 7:
        wrong.append(f"{len(model.layers)} layers, not 7")
    for layer in model.layers:
        if layer.heads != spec.K:
            wrong.append(f"{layer.heads} heads in {layer.name}, not K = {spec.K}")
    width = 2 * spec.d + spec.features + math.ceil(math.log2(spec.m + 1)) + math.ceil(math.log2(spec.n)) + 9 + spec.sum_slot
    for layer in model.layers:
        for bank in layer.banks:
            if bank.W_Q.shape[-1] != width:
                wrong.append(f"{layer.name} reads {bank.W_Q.shape[-1]} coordinates, not D = {width}")
    if not width <= embedding_bound(spec):
        wrong.append(f"D = {width} exceeds 2d + r + log2(mn) + 11 = {embedding_bound(spec):.2f}")
    return wrong


def check_prompt(
    model: Transformer,
    tasks: Sequence[Task],
    prompt: Prompt,
    feature_map: FeatureMap | None = None,
    input_norm: float | None = None,
) -> list[Lemma]:
    """Run one prompt and hold every layer's residual stream and score gaps against its lemma."""
    spec = model.spec
    verdict = judge(tasks, prompt, spec.tolerance, spec.margin, feature_map, spec.sum_slot)
    trace = model.trace(prompt, attention=False)
    setting = proof.setting(spec, prompt.tokens, input_norm)
    bounds = proof.errors(setting)
    streams = ideal_streams(SEVEN, spec, tasks, prompt, verdict)
    next(streams)
    lemmas = []
    rows = zip(model.layers, SEVEN, proof.SEVEN, streams, bounds, strict=True)
    for number, (layer, check, lemma, ideal, bound) in enumerate(rows, 1):
        gap = float(trace.gaps[layer.name].min())
        required = setting.gains.T - 2 * setting.gains.error(layer.name)
        near = int(trace.near[layer.name].max())
        results = [
            Lemma(
                number, layer.name, subspace, _distance(trace.read(layer.name, subspace), ideal[subspace]),
                bound_of(bound, subspace, spec), gap, required, near, lemma.near(spec),
            )
            for subspace in model.residual.names
        ]  # fmt: skip
        lemmas.append(worst([one for one in results if one.subspace in check.WRITES or not one.observed <= one.bound]))
    return lemmas


def bound_of(errors: Errors, subspace: str, spec: Spec) -> float:
    """The bound on a subspace; x carries the features too when phi is the identity."""
    return max(errors.x, errors.f) if subspace == "x" and not spec.features else errors.of(subspace)


def _distance(actual: np.ndarray, ideal: np.ndarray) -> float:
    """The largest difference of a coordinate; NaN if anything is not a number."""
    return float(np.max(np.abs(actual.astype(np.float64) - ideal)))


def answer_error(answer: np.ndarray, vector: np.ndarray) -> float:
    """The distance of an answer from the superposition, in max norm."""
    return _distance(answer, vector)
