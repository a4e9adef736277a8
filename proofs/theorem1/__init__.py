"""Theorem 1's error bound: seven lemmas in order, composed."""

from collections.abc import Sequence

from construct.prompt import Prompt
from construct.spec import Spec
from construct.tasks import FeatureMap, Task
from construct.theorem1.gains import derive
from proofs import selection
from proofs.selection import Errors, Setting
from proofs.theorem1 import (
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


def setting(
    spec: Spec,
    prompt: Prompt | int | None = None,
    input_norm: float | None = None,
    *,
    leaks: bool = True,
    rounds: bool = True,
    tasks: Sequence[Task] | None = None,
    feature_map: FeatureMap | None = None,
) -> Setting:
    """What to bound: one prompt, or all of at most so many tokens (default: the Spec's longest)
    with inputs of norm at most `input_norm` (default: the Spec's input radius, or where it has none
    its radius). Raises Infeasible when the Spec has no transformer."""
    return selection.setting(
        spec, derive(spec), prompt, input_norm, leaks, rounds, tasks, feature_map
    )


def errors(setting: Setting) -> list[Errors]:
    """The bounds on every subspace after each of the seven layers; before the first, the prompt is
    rounded to the dtype."""
    return selection.compose(setting, SEVEN)


def error_bound(
    spec: Spec,
    prompt: Prompt | int | None = None,
    input_norm: float | None = None,
    *,
    tasks: Sequence[Task] | None = None,
    feature_map: FeatureMap | None = None,
) -> float:
    """How far the answer can be from sum_i (m_i/M) g_i(X), in max norm: leak and rounding
    together."""
    return errors(setting(spec, prompt, input_norm, tasks=tasks, feature_map=feature_map))[
        -1
    ].output


def leak(spec: Spec, prompt: Prompt | int | None = None, input_norm: float | None = None) -> float:
    """The error in exact arithmetic: O(e^-T), flat in m and n at first order."""
    return errors(setting(spec, prompt, input_norm, rounds=False))[-1].output


def rounding(
    spec: Spec, prompt: Prompt | int | None = None, input_norm: float | None = None
) -> float:
    """The error of floats when nothing leaks: the task's dot product and the mean."""
    return errors(setting(spec, prompt, input_norm, leaks=False))[-1].output
