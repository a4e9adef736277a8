"""Theorem 1 as seven layers: Lift, Pair, Recognize, Commit, Fetch, Execute, Superpose."""

from collections.abc import Iterable, Sequence

from construct import checks
from construct.layers import LayerWeights
from construct.model import Transformer
from construct.spec import Spec
from construct.tasks import FeatureMap, Task
from construct.theorem1 import (
    layer1_lift,
    layer2_pair,
    layer3_recognize,
    layer4_commit,
    layer5_fetch,
    layer6_execute,
    layer7_superpose,
)
from construct.theorem1.gains import derive
from construct.theorem1.readout import READOUT
from construct.theorem1.stream import residual_stream

SEVEN = (
    layer1_lift,
    layer2_pair,
    layer3_recognize,
    layer4_commit,
    layer5_fetch,
    layer6_execute,
    layer7_superpose,
)


def build(spec: Spec, tasks: Sequence[Task], feature_map: FeatureMap | None = None) -> Transformer:
    """The seven layer transformer that performs these tasks in superposition.

    Raises ValueError when the tasks do not fit the Spec, and Infeasible (a ValueError) when the
    Spec's dtype cannot represent the scores or its coldness is not admissible; the message says
    what would do.
    """
    checks.instance("spec", spec, Spec, "use Spec.of(tasks, ...)")
    tasks = list(tasks)
    spec.check_tasks(tasks, feature_map)
    gains, residual = derive(spec), residual_stream(spec)
    layers = (part.layer(spec, gains, residual, tasks, feature_map) for part in SEVEN)
    return assemble(spec, layers, tuple(task.slot for task in tasks))


def assemble(
    spec: Spec, layers: Iterable[LayerWeights], slots: tuple[int, ...], checked: bool = True
) -> Transformer:
    """The transformer of a Spec with these layers, however they were made.

    slots: by task, the one that it reads. checked: assert what the lemmas' weights keep.
    """
    gains, residual = derive(spec), residual_stream(spec)
    return Transformer(spec, residual, layers, gains, slots, READOUT, checked)
