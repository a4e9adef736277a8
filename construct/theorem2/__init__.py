"""Theorem 2 as three layers without MLPs: Pair, Recognize, Superpose (with a ReLU feature map, one
MLP after Pair)."""

from collections.abc import Iterable, Sequence

from construct import checks
from construct.layers import LayerWeights
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
    checks.instance("spec", spec, Spec, "use Spec.of(tasks, ...)")
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
    return assemble(spec, layers, tuple(task.slot for task in tasks))


def assemble(
    spec: Spec, layers: Iterable[LayerWeights], slots: tuple[int, ...], checked: bool = True
) -> Transformer:
    """The transformer of a Spec with these layers, however they were made.

    slots: by task, the one that it reads. checked: assert what the lemmas' weights keep.
    """
    gains, residual = derive(spec), residual_stream(spec)
    return Transformer(spec, residual, layers, gains, slots, READOUT, checked)
