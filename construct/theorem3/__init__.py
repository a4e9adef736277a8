"""Theorem 3 as five causal layers: Recognize, Tally, then Perform in three parts (Balance, Open,
Correct)."""

from collections.abc import Iterable, Sequence

from construct import checks
from construct.layers import LayerWeights
from construct.model import Transformer
from construct.spec import Spec
from construct.tasks import FeatureMap, Task
from construct.theorem3 import (
    layer1_recognize,
    layer2_tally,
    layer3_balance,
    layer4_open,
    layer5_correct,
)
from construct.theorem3.gains import Gains, derive
from construct.theorem3.readout import READOUT
from construct.theorem3.stream import residual_stream

FIVE = (layer1_recognize, layer2_tally, layer3_balance, layer4_open, layer5_correct)


def build(spec: Spec, tasks: Sequence[Task], feature_map: FeatureMap | None = None) -> Transformer:
    """The causal five layer transformer that performs these norm-preserving tasks through one task
    vector.

    Raises ValueError when the tasks do not fit the Spec, read features or a sum slot, the radius is
    below 1, or a task maps no input to norm 1; Infeasible (a ValueError) when the Spec's dtype
    cannot represent the scores or its coldness is not admissible. A prompt in which a task or a
    label does not preserve the norm is refused when it is asked.
    """
    checks.instance("spec", spec, Spec, "use Spec.of(tasks, ...)")
    tasks = list(tasks)
    spec.check_tasks(tasks, feature_map)
    for name, value in (("features", spec.features), ("sum_slot", spec.sum_slot)):
        if value:
            raise checks.refuse(
                name,
                value,
                "Theorem 3's tasks read the inputs themselves",
                "leave it out, or use Theorem 1",
            )
    if spec.radius < 1:
        raise checks.refuse(
            "radius",
            spec.radius,
            "must be at least 1, the labels' norm (Theorem 3)",
            "rescale to norm 1",
        )
    gains, residual = derive(spec), residual_stream(spec)
    _check_norms(tasks, gains)
    layers = (part.layer(spec, gains, residual, tasks) for part in FIVE)
    return assemble(spec, layers, tuple(task.slot for task in tasks))


def _check_norms(tasks: Sequence[Task], gains: Gains) -> None:
    """Refuse a task that gives no input of norm at most X an output of norm 1."""
    X, off = gains.input_radius, gains.norm_tolerance
    for i, task in enumerate(tasks):
        longest = task.weight_norm * X + task.bias_norm
        shortest = task.bias_norm - task.weight_norm * X
        for norm, what, wrong in (
            (longest, "at most", longest**2 < 1 - off),
            (shortest, "at least", shortest > 0 and shortest**2 > 1 + off),
        ):
            if wrong:
                raise checks.refuse(
                    f"tasks[{i}]",
                    f"||W|| = {task.weight_norm:.3g}, ||b|| = {task.bias_norm:.3g}",
                    f"must have outputs of norm 1 (Theorem 3), and they have {what} {norm:.3g} "
                    f"on inputs of norm up to {X:.3g}",
                    "rescale the task, or use Theorem 1",
                )


def assemble(
    spec: Spec, layers: Iterable[LayerWeights], slots: tuple[int, ...], checked: bool = True
) -> Transformer:
    """The transformer of a Spec with these layers, however they were made.

    slots: by task, the one that it reads. checked: assert what the lemmas' weights keep.
    """
    gains, residual = derive(spec), residual_stream(spec)
    return Transformer(spec, residual, layers, gains, slots, READOUT, checked)
