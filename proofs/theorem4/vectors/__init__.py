"""Theorem 4's error bounds on unit vectors: four lemmas in order, composed."""

from collections.abc import Sequence

from construct.spec import Spec
from construct.tasks import FeatureMap
from construct.theorem4.vectors.gains import derive, longest_vector
from construct.vectors import VectorPrompt, VectorTask
from proofs.sizes import Sizes
from proofs.theorem4.bounds import Setting
from proofs.theorem4.vectors import (
    layer1_recognize,
    layer2_consistency,
    layer3_commit,
    layer4_posterior,
)
from proofs.theorem4.vectors.bounds import Errors

FOUR = (layer1_recognize, layer2_consistency, layer3_commit, layer4_posterior)


def setting(
    spec: Spec,
    prompt: VectorPrompt | int | None = None,
    *,
    leaks: bool = True,
    rounds: bool = True,
) -> Setting:
    """What to bound: one prompt, or all of at most so many tokens (default: the Spec's longest).
    Raises Infeasible when the Spec has no transformer."""
    tokens = prompt.tokens if isinstance(prompt, VectorPrompt) else prompt
    X = longest_vector(spec)
    return Setting(
        spec=spec,
        gains=derive(spec),
        tokens=spec.tokens if tokens is None else tokens,
        input_norm=X,
        sizes=Sizes(products=X, bias=0.0, output=X, label=X),
        leaks=leaks,
        rounds=rounds,
    )


def errors(setting: Setting) -> list[Errors]:
    """The bounds on every subspace after each of the four layers; before the first, vectors are
    rounded to the dtype."""
    state, after = Errors(x=setting.stored(setting.input_norm, setting.spec.d)), []
    for layer in FOUR:
        state = layer.lemma(setting, state)
        after.append(state)
    return after


def error_bound(
    spec: Spec,
    prompt: VectorPrompt | int | None = None,
    *,
    tasks: Sequence[VectorTask] | None = None,
    feature_map: FeatureMap | None = None,
) -> float:
    """How far a step's mean vector can be from the law's, in Euclidean norm: 2 X^2 (e^-T + 2N
    e^-2T), X = sqrt(1 + norm tolerance), and rounding. Under superposed decoding it holds at every
    step alike.

    tasks, feature_map: as every theorem's bound takes them; all orthogonal tasks round alike."""
    return errors(setting(spec, prompt))[-1].output


def joint_bound(
    spec: Spec, steps: int | None = None, prompt: VectorPrompt | int | None = None
) -> float:
    """Total variation of an answer of so many vectors (default: L), told by the tasks that say it,
    from the mixture of the tasks' answers: steps/2 times the error of a posterior, as on words."""
    steps = spec.L if steps is None else steps
    found = setting(spec, prompt)
    return steps / 2 * errors(found)[-1].omega + found.gamma(steps + spec.K)


def leak(spec: Spec, prompt: VectorPrompt | int | None = None) -> float:
    """The error of a step in exact arithmetic."""
    return errors(setting(spec, prompt, rounds=False))[-1].output


def rounding(spec: Spec, prompt: VectorPrompt | int | None = None) -> float:
    """The error of a step in floats when nothing leaks."""
    return errors(setting(spec, prompt, leaks=False))[-1].output
