"""Theorem 4's error bounds: four lemmas in order, composed; and what follows for whole answers."""

from collections.abc import Sequence

from construct.spec import Spec
from construct.tasks import FeatureMap
from construct.theorem4.gains import derive
from construct.words import WordPrompt, WordTask
from proofs.sizes import Sizes
from proofs.theorem4 import (
    layer1_recognize,
    layer2_consistency,
    layer3_commit,
    layer4_posterior,
)
from proofs.theorem4.bounds import Errors, Setting

# A word's products and outputs are 1 or 0, its bias 0.
WORDS = Sizes(products=1.0, bias=0.0, output=1.0, label=1.0)

FOUR = (layer1_recognize, layer2_consistency, layer3_commit, layer4_posterior)


def setting(
    spec: Spec,
    prompt: WordPrompt | int | None = None,
    *,
    leaks: bool = True,
    rounds: bool = True,
) -> Setting:
    """What to bound: one prompt, or all of at most so many tokens (default: the Spec's longest),
    soft words among them.
    Raises Infeasible when the Spec has no transformer."""
    soft = not isinstance(prompt, WordPrompt) or prompt.prefix.ndim == 2
    tokens = prompt.tokens if isinstance(prompt, WordPrompt) else prompt
    return Setting(
        spec=spec,
        gains=derive(spec),
        tokens=spec.tokens if tokens is None else tokens,
        input_norm=1.0,
        sizes=WORDS,
        leaks=leaks,
        rounds=rounds,
        soft=soft,
    )


def errors(setting: Setting) -> list[Errors]:
    """The bounds on every subspace after each of the four layers; before the first, words are exact
    in any dtype, and soft ones are rounded."""
    state, after = Errors(x=setting.gamma(1) if setting.soft else 0.0), []
    for layer in FOUR:
        state = layer.lemma(setting, state)
        after.append(state)
    return after


def error_bound(
    spec: Spec,
    prompt: WordPrompt | int | None = None,
    *,
    tasks: Sequence[WordTask] | None = None,
    feature_map: FeatureMap | None = None,
) -> float:
    """How far a step's distribution can be from the law's, summed over words: (K + 1) (e^-T + 2N
    e^-2T) and rounding. Under superposed decoding it holds at every step alike.

    tasks, feature_map: as every theorem's bound takes them; all tasks of words round alike."""
    return errors(setting(spec, prompt))[-1].output


def leak(spec: Spec, prompt: WordPrompt | int | None = None) -> float:
    """The error of a step in exact arithmetic."""
    return errors(setting(spec, prompt, rounds=False))[-1].output


def rounding(spec: Spec, prompt: WordPrompt | int | None = None) -> float:
    """The error of a step in floats when nothing leaks."""
    return errors(setting(spec, prompt, leaks=False))[-1].output


def joint_bound(
    spec: Spec, steps: int | None = None, prompt: WordPrompt | int | None = None
) -> float:
    """Total variation of an answer of so many words (default: L) from the mixture of the tasks'
    sequences: steps/2 times the error of a step.

    Why: of two chains of sub-distributions, sum_y |prod p - prod q| grows by at most one step's
    error a step, since all factors before and after it sum to 1 at most. The factors that the
    product of floats rounds are bounded by gamma_steps."""
    steps = spec.L if steps is None else steps
    floats = setting(spec, prompt).gamma(steps)
    return steps / 2 * error_bound(spec, prompt) + floats
