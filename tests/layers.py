"""What the layers' tests share, whatever the theorem: one layer's lemma on a case's last prompt,
weights that are made wrong, and the rate at which a layer's error falls with the coldness."""

from collections import defaultdict
from collections.abc import Callable
from functools import cache
from importlib import import_module

import numpy as np

from construct import Trace, Transformer
from tests.strategies import Case
from tests.wrong import damaged
from verify.check import Lemma, check_lemmas
from verify.ideal import ideal_streams
from verify.theorem import ALL

COLD = (10.0, 13.0, 16.0, 19.0)


def lemmas(case: Case, model: Transformer | None = None) -> list[Lemma]:
    """Every layer's lemma on the last prompt."""
    return check_lemmas(
        case.theorem,
        case.model if model is None else model,
        case.tasks,
        case.prompts[-1],
        case.instance.feature_map,
    )


def assert_lemma(case: Case, name: str) -> None:
    """The layer's stream is within its bound of the ideal one, and its gaps are as wide as they
    must be."""
    lemma = next(lemma for lemma in lemmas(case) if lemma.name == name)
    assert lemma.observed <= lemma.bound
    assert lemma.least_gap >= lemma.required_gap
    assert lemma.holds


def trace(case: Case) -> Trace:
    """The trace of the last prompt."""
    return case.model.trace(case.prompts[-1], attention=False)


def tokens(case: Case, array: np.ndarray) -> np.ndarray:
    """A subspace (N, size) as examples and, last, the query: (m' + 1, n, size)."""
    return array[1:].reshape(-1, case.spec.n, array.shape[1])


def required_gap(case: Case, name: str) -> float:
    """The coldness, less what rounding can take from a gap of this layer."""
    gains = case.theorem.derive(case.spec)
    return gains.T - 2 * gains.error(name)


def bound(case: Case, name: str, subspace: str) -> float:
    """What the layer's lemma allows of a subspace."""
    proof = case.theorem.proof
    setting = proof.setting(case.spec)
    index = [layer for layer, _ in setting.gains.score_error].index(name)
    return proof.errors(setting)[index].of(subspace)


def scale(factor: float) -> Callable[[np.ndarray], None]:
    """Multiplies weights in place."""

    def change(weights: np.ndarray) -> None:
        weights *= factor

    return change


def turn(weights: np.ndarray) -> None:
    """Gives every head the weights of the one before it, in place."""
    weights[:] = np.roll(weights, 1, axis=0)


def corrupt(
    case: Case, name: str, matrix: str, change: Callable[[np.ndarray], None], bank: int = 0
) -> Transformer:
    """The case's transformer with one matrix of one layer changed in place; matrix W_Q .. W_O, or
    W_1 and W_2 of the MLP."""

    def changed(weights: np.ndarray) -> np.ndarray:
        change(weights)
        return weights

    return damaged(case.model, name, matrix, changed, bank)


def term(case: Case, name: str, row: str) -> slice:
    """The rows of W_Q and W_K of a named term of the layer's score."""
    return case.model.layer(name).banks[0].rows(row)


def assert_rejected(case: Case, name: str, model: Transformer) -> Lemma:
    """The check fails, and the first lemma that does not hold is this layer's."""
    assert all(lemma.holds for lemma in lemmas(case)), "the right weights pass"
    first = next((lemma for lemma in lemmas(case, model) if not lemma.holds), None)
    assert first is not None and first.name == name
    return first


def leak_rate(number: int, layer: str, subspace: str) -> float:
    """The exponent at which the error falls with T of a subspace that the layer writes, at the
    tokens that it writes for, on float64 prompts at the edge of every hypothesis of a theorem: -1
    where it is e^-T."""
    return float(np.polyfit(COLD, np.log(_leaks(number)[layer, subspace]), 1)[0])


@cache
def _leaks(number: int) -> dict[tuple[str, str], list[float]]:
    """By layer and subspace, the largest error at each coldness."""
    theorem, edge = ALL[number], import_module(f"tests.mutants.theorem{number}")
    leaks = defaultdict(list)
    for T in COLD:
        one = edge.instance("float64", T)
        model = theorem.build(one.spec, one.tasks, one.feature_map)
        worst = defaultdict(float)
        for prompt in edge.prompts("float64", T):
            spec = one.spec
            verdict = theorem.judge(spec, one.tasks, prompt, one.feature_map)
            seen = model.trace(prompt, attention=False)
            ideals = ideal_streams(theorem, spec, one.tasks, prompt, verdict)
            next(ideals)
            for layer, check, ideal in zip(model.layers, theorem.checks, ideals, strict=True):
                at = check.asks(ideal)
                for name in set(check.WRITES) & set(model.residual.names):
                    off = np.abs(seen.read(layer.name, name) - ideal[name])[at].max(initial=0)
                    worst[layer.name, name] = max(worst[layer.name, name], float(off))
        for key, off in worst.items():
            leaks[key].append(off)
    return dict(leaks)
