"""Theorem 2 as three layers without MLPs: Pair, Recognize, Superpose (with a ReLU feature map, one
MLP after Pair)."""

from collections.abc import Sequence

from construct import checks
from construct.model import Transformer
from construct.spec import Spec
from construct.tasks import FeatureMap, Task
from construct.theorem2 import layer1_pair, layer2_recognize, layer3_superpose
from construct.theorem2.gains import derive
from construct.theorem2.readout import READOUT
from construct.theorem2.stream import residual_stream

THREE = (layer1_pair, layer2_recognize, layer3_superpose)


def build(spec: Spec, tasks: Sequence[Task], feature_map: FeatureMap | None = None) -> Transformer:
    """The three layer transformer that performs these tasks in superposition, if no example has two
    explanations.

    Raises ValueError when the tasks do not fit the Spec or it has a sum slot, and Infeasible (a
    ValueError) when its dtype cannot represent the scores or its coldness is not admissible. A
    prompt with an ambiguous example is refused when it is asked.
    """
    tasks = list(tasks)
    spec.check_tasks(tasks, feature_map)
    if spec.sum_slot:
        raise checks.refuse(
            "sum_slot",
            True,
            "must be False: three layers have none that fills it",
            "pass the sum as an input, or use Theorem 1",
        )
    gains, residual = derive(spec), residual_stream(spec)
    layers = (part.layer(spec, gains, residual, tasks, feature_map) for part in THREE)
    slots = tuple(task.slot for task in tasks)
    return Transformer(spec, residual, layers, gains, slots, READOUT)
