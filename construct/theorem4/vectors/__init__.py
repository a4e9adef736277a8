"""Theorem 4 on unit vectors, as four causal layers with gated MLPs: Recognize, Consistency, Commit,
Posterior."""

from collections.abc import Iterable, Sequence

from construct import checks
from construct.layers import LayerWeights
from construct.spec import Spec
from construct.theorem4.spec import check_plain
from construct.theorem4.vectors import (
    layer1_recognize,
    layer2_consistency,
    layer3_commit,
    layer4_posterior,
)
from construct.theorem4.vectors.gains import derive
from construct.theorem4.vectors.readout import READOUT
from construct.theorem4.vectors.spec import check_vector_tasks, spec_of
from construct.theorem4.vectors.stream import residual_stream
from construct.vector_generator import VectorGenerator
from construct.vectors import VectorTask

FOUR = (layer1_recognize, layer2_consistency, layer3_commit, layer4_posterior)


def build(spec: Spec, tasks: Sequence[VectorTask], feature_map: None = None) -> VectorGenerator:
    """The causal four layer transformer that answers with L unit vectors, all tasks in
    superposition.

    spec: as `spec_of(tasks, m=..., margin=...)` makes it. Raises ValueError when the tasks do not
    fit the Spec, or features or a sum slot are asked for; Infeasible (a ValueError) when the Spec's
    dtype cannot represent the scores or its coldness is not admissible.
    """
    checks.instance("spec", spec, Spec, "use construct.theorem4.vectors.spec_of(tasks, ...)")
    tasks = list(tasks)
    check_vector_tasks(spec, tasks)
    check_plain(spec, feature_map)
    gains, residual = derive(spec), residual_stream(spec)
    layers = (part.layer(spec, gains, residual, tasks) for part in FOUR)
    return assemble(spec, layers, tuple(task.slot for task in tasks))


def assemble(
    spec: Spec, layers: Iterable[LayerWeights], slots: tuple[int, ...], checked: bool = True
) -> VectorGenerator:
    """The transformer of a Spec with these layers, however they were made.

    slots: by task, the one that it reads. checked: assert what the lemmas' weights keep.
    """
    gains, residual = derive(spec), residual_stream(spec)
    return VectorGenerator(spec, residual, layers, gains, slots, READOUT, checked)


__all__ = ["FOUR", "assemble", "build", "derive", "residual_stream", "spec_of"]
