"""Theorem 3's error bound: five lemmas in order, composed."""

from collections.abc import Sequence

from construct.prompt import Prompt
from construct.spec import Spec
from construct.tasks import FeatureMap, Task
from construct.theorem3.gains import derive
from proofs import selection
from proofs.selection import Errors, Setting
from proofs.theorem3 import (
    layer1_recognize,
    layer2_tally,
    layer3_balance,
    layer4_open,
    layer5_correct,
)

FIVE = (layer1_recognize, layer2_tally, layer3_balance, layer4_open, layer5_correct)


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
    """The bounds on every subspace after each of the five layers."""
    return selection.compose(setting, FIVE)


def error_bound(
    spec: Spec,
    prompt: Prompt | int | None = None,
    input_norm: float | None = None,
    *,
    tasks: Sequence[Task] | None = None,
    feature_map: FeatureMap | None = None,
) -> float:
    """How far the answer can be from sum_i (m_i/M) g_i(X), in max norm: leak, remainder and
    amplified rounding together."""
    return errors(setting(spec, prompt, input_norm, tasks=tasks, feature_map=feature_map))[
        -1
    ].output


def leak(spec: Spec, prompt: Prompt | int | None = None, input_norm: float | None = None) -> float:
    """The error in exact arithmetic: the leak of the softmaxes and the series' remainder, about R
    eps^4/750."""
    return errors(setting(spec, prompt, input_norm, rounds=False))[-1].output


def rounding(
    spec: Spec, prompt: Prompt | int | None = None, input_norm: float | None = None
) -> float:
    """The error of floats when nothing leaks, with the remainder."""
    return errors(setting(spec, prompt, input_norm, leaks=False))[-1].output
