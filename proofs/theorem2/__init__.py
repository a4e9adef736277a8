"""Theorem 2's error bound: three lemmas in order, composed."""

from construct.spec import Spec
from construct.theorem2.gains import derive
from proofs import selection
from proofs.selection import Errors, Setting
from proofs.theorem2 import layer1_pair, layer2_recognize, layer3_superpose

THREE = (layer1_pair, layer2_recognize, layer3_superpose)


def setting(
    spec: Spec,
    tokens: int | None = None,
    input_norm: float | None = None,
    *,
    leaks: bool = True,
    rounds: bool = True,
) -> Setting:
    """What to bound: prompts of at most `tokens` tokens (default: the Spec's longest) with inputs
    of norm at most `input_norm` (default: the Spec's input radius). Raises Infeasible when the Spec
    has no transformer."""
    return selection.setting(spec, derive(spec), tokens, input_norm, leaks, rounds)


def errors(setting: Setting) -> list[Errors]:
    """The bounds on every subspace after each of the three layers; before the first, the prompt is
    rounded to the dtype."""
    return selection.compose(setting, THREE)


def error_bound(spec: Spec, tokens: int | None = None, input_norm: float | None = None) -> float:
    """How far the answer can be from sum_i (m_i/M) g_i(X), in max norm: leak and rounding
    together."""
    return errors(setting(spec, tokens, input_norm))[-1].output


def leak(spec: Spec, tokens: int | None = None, input_norm: float | None = None) -> float:
    """The error in exact arithmetic: O(K T e^-T), flat in m and n at first order."""
    return errors(setting(spec, tokens, input_norm, rounds=False))[-1].output


def rounding(spec: Spec, tokens: int | None = None, input_norm: float | None = None) -> float:
    """The error of floats when nothing leaks: the task's dot product and the mean."""
    return errors(setting(spec, tokens, input_norm, leaks=False))[-1].output
