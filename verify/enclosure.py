"""A theorem certified on one prompt: rigorous enclosures of the transformer's answer, of what the
lemmas bound, and of the gaps.

The stored weights run over real numbers in ball arithmetic. The target, sum_i (m_i/M) g_i(X), and
what each layer must leave behind, as the theorem's own checks say it, are computed in balls from
the definition. Every claim is asserted positively and holds only if it is certain.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from construct import FeatureMap, Prompt, Task, Transformer
from construct.layout import AnyPrompt
from verify import balls, cli
from verify.check import Lemma, Seen, check_lemma
from verify.ideal import Stream, ideal_streams
from verify.oracle import ABSTAINED, Verdict
from verify.record import Theorem

if TYPE_CHECKING:
    from rich.console import Console

# Bits left after everything that is known to cancel: a score, and what is left of a weight within
# e^-2T of 0 or 1.
GUARD_BITS = 64


@dataclass(frozen=True)
class Enclosure:
    """What is certain of one prompt. Every number is an upper bound of a distance, or a lower bound
    of a gap.

    lemmas: as in a report, with enclosed quantities. answer_error: of the real-number answer from
    the target. float_distance: of the forward pass in floats from the real-number answer. radius:
    of the enclosure of the answer.
    """

    lemmas: list[Lemma]
    ties: list[bool]
    answer_error: float
    float_distance: float
    error_bound: float
    radius: float
    bits: int
    seconds: float

    @property
    def holds(self) -> bool:
        """Every lemma, every tie and both distances are certain."""
        lemmas = all(lemma.holds for lemma in self.lemmas) and all(self.ties)
        return (
            lemmas
            and self.answer_error <= self.error_bound
            and self.float_distance <= self.error_bound
        )

    def as_json(self) -> dict[str, Any]:
        """The enclosure with plain numbers; null where a number is not finite."""
        return {
            "holds": self.holds,
            "answer_error": cli.finite(self.answer_error),
            "float_distance": cli.finite(self.float_distance),
            "error_bound": self.error_bound,
            "enclosure_radius": cli.finite(self.radius),
            "bits": self.bits,
            "seconds": round(self.seconds, 3),
            "lemmas": [
                {
                    "layer": lemma.layer,
                    "name": lemma.name,
                    "holds": lemma.holds and tie,
                    "observed": cli.finite(lemma.observed),
                    "bound": lemma.bound,
                    "least_gap": cli.finite(lemma.least_gap),
                }
                for lemma, tie in zip(self.lemmas, self.ties, strict=True)
            ],
        }

    def show(self, console: "Console") -> None:
        """Print the enclosure: a row a layer, then the two distances of the answer."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        table = Table(
            "layer", "subspace", "at most", "bound", "gap at least", "certain", box=SIMPLE_HEAD
        )
        for column in table.columns[2:5]:
            column.justify = "right"
        for lemma, tie in zip(self.lemmas, self.ties, strict=True):
            certain = lemma.holds and tie
            gap = f"{lemma.least_gap:.2f}" if math.isfinite(lemma.least_gap) else "-"
            name = f"{lemma.layer} {lemma.name.capitalize()}"
            table.add_row(
                name,
                lemma.subspace,
                f"{lemma.observed:.2e}",
                f"{lemma.bound:.2e}",
                gap,
                "yes" if certain else "NO",
                style=None if certain else "bold red",
            )
        console.print(f"certificate in ball arithmetic, {self.bits} bits ({self.seconds:.1f} s)")
        console.print(table)
        console.print(
            f"the real-number answer is within {self.answer_error:.2e} of the target (bound "
            f"{self.error_bound:.2e})"
        )
        console.print(
            f"the float answer is within {self.float_distance:.2e} of the real-number answer"
        )
        console.print(
            "certified" if self.holds else "NOT CERTIFIED",
            style="bold green" if self.holds else "bold red",
        )


def certify(
    theorem: Theorem,
    model: Transformer,
    tasks: Sequence[Any],
    prompt: AnyPrompt,
    feature_map: FeatureMap | None = None,
) -> Enclosure:
    """Certify one prompt. Raises extras.MissingExtra without python-flint, ValueError for a prompt
    outside the hypotheses."""
    started = time.perf_counter()
    spec, gains = model.spec, model.gains
    trace = model.trace(prompt, attention=False, enforce=False)
    setting = theorem.proof.setting(spec, prompt)
    bounds = theorem.proof.errors(setting)
    selections = [
        balls.Selection(gains.T, error, gains.spread(name)) for name, error in gains.score_error
    ]
    bits = _bits_needed(theorem, model)
    with balls.working_bits(bits):
        if theorem.exact:
            verdict = theorem.judge(spec, tasks, prompt, feature_map)
        else:
            verdict = verdict_in_balls(
                tasks, cast(Prompt, prompt), spec.tolerance, spec.margin, feature_map, spec.sum_slot
            )
        streams = ideal_streams(theorem, spec, tasks, prompt, verdict, dtype=object)
        embedded = _embedded(model, next(streams))
        lemmas, tied, actual, target = [], [], embedded, embedded[-1]
        for i, (ideal, enclosed) in enumerate(
            zip(streams, balls.enclose(model, embedded, selections), strict=True)
        ):
            actual = np.array(enclosed.stream.entries(), object).reshape(prompt.tokens, -1)
            distances = {
                name: _farthest(actual[:, model.residual.where(name)], ideal[name])
                for name in model.residual.names
            }
            # Where an error is below the spacing of floats, they cannot tell T - 2 error from T:
            # the balls can.
            gap = (
                max(enclosed.least_gap, gains.T - 2 * selections[i].error)
                if enclosed.wide
                else enclosed.least_gap
            )
            seen = Seen(distances, gap, enclosed.near, enclosed.best)
            lemmas.append(check_lemma(theorem, setting, i, bounds[i], ideal, seen))
            tied.append(enclosed.ties)
            target = ideal["y"][-1]  # after the last layer: the superposition
        answer = actual[-1, model.residual.where("y")]
        return Enclosure(
            lemmas=lemmas,
            ties=tied,
            answer_error=_farthest(answer, target),
            float_distance=_farthest(answer, trace.answer.vector.astype(float)),
            error_bound=bounds[-1].output,
            radius=max(float(ball.rad()) for ball in answer),
            bits=bits,
            seconds=time.perf_counter() - started,
        )


def _bits_needed(theorem: Theorem, model: Transformer) -> int:
    """Bits with which a score keeps a float's digits, and a weight within e^-2T of 0 or 1 is told
    from it."""
    spec, gains = model.spec, model.gains
    largest = max(theorem.largest_scores(spec, gains).values())
    cancels = math.ceil(math.log2(largest) + 2 * gains.T / math.log(2))
    return np.finfo(spec.dtype).nmant + 1 + cancels + GUARD_BITS


def verdict_in_balls(
    tasks: Sequence[Task],
    prompt: Prompt,
    tolerance: float,
    margin: float,
    feature_map: FeatureMap | None,
    sum_slot: bool,
) -> Verdict:
    """The oracle's verdict in balls. Raises ValueError where a residual is not certainly at most
    rho or at least delta."""
    inputs, query = (_fill(_balls(part), sum_slot) for part in (prompt.inputs, prompt.query))
    features, query_features = _phi(feature_map, inputs), _phi(feature_map, query)
    labels = _balls(prompt.labels)
    K, examples = len(tasks), prompt.examples
    explains = np.zeros((K, examples), bool)
    residuals = np.empty((K, examples), object)
    for i, task in enumerate(tasks):
        miss = features[:, task.slot] @ _balls(task.weight).T + _balls(task.bias) - labels
        for j, square in enumerate((miss**2).sum(1)):
            residuals[i, j] = square.sqrt() if square > 0 else square
            explains[i, j] = residuals[i, j] <= tolerance
            if not (explains[i, j] or residuals[i, j] >= margin):
                raise ValueError(
                    f"example {j}, task {i}: a residual of {residuals[i, j]} is undecided"
                )
    recognized = np.where(explains.sum(0) == 1, explains.argmax(0), ABSTAINED)
    counts = _balls(np.array([(recognized == i).sum() for i in range(K)]))
    outputs = np.stack(
        [_balls(task.weight) @ query_features[task.slot] + _balls(task.bias) for task in tasks]
    )
    vector = counts @ outputs / max(counts.sum(), 1)
    return Verdict(
        inputs,
        query,
        features,
        query_features,
        residuals,
        explains,
        recognized,
        counts,
        outputs,
        vector,
    )


def _balls(array: np.ndarray) -> np.ndarray:
    ball = balls.flint().arb
    return (
        np.frompyfunc(lambda x: ball(float(x)), 1, 1)(array) if array.size else array.astype(object)
    )


def _phi(feature_map: FeatureMap | None, inputs: np.ndarray) -> np.ndarray:
    if feature_map is None:
        return inputs
    lifted = inputs @ _balls(feature_map.weight).T + _balls(feature_map.bias)
    return np.frompyfunc(lambda x: x.max(0), 1, 1)(lifted)


def _fill(inputs: np.ndarray, sum_slot: bool) -> np.ndarray:
    if not sum_slot:
        return inputs
    return np.concatenate(
        [inputs[..., :-1, :], inputs[..., :-1, :].sum(-2, keepdims=True)], axis=-2
    )


def _embedded(model: Transformer, ideal: Stream) -> np.ndarray:
    """The ideal stream before the first layer, rounded to the model's dtype as a prompt is."""
    blocks = [ideal[name].astype(float).astype(model.spec.dtype) for name in model.residual.names]
    return np.concatenate(blocks, axis=1)


def _farthest(actual: np.ndarray, ideal: np.ndarray) -> float:
    """The largest distance of a coordinate; infinite where a ball says nothing."""
    return max(balls.distance(a, b) for a, b in zip(actual.ravel(), ideal.ravel(), strict=True))
