"""Lemma 0 (selection): what a softmax head moves when its winners tie and beat every other key by
T.

Let w keys tie for the top score, a losers be at least T behind, and all others at least 2T. Then
the losers' weights sum to at most (a e^-T + N e^-2T) / w, and the head's output differs from the
winners' mean by at most that times the distance between the losers' values and the mean. Proof:
every winner has weight 1/Z with Z >= w, every loser at most e^-gap / Z.

A `Setting` supplies those two numbers for each layer, and the rounding factors; one recursion over
the layers then gives leak (exact arithmetic, finite T), rounding (T so large that nothing leaks),
and both together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from construct import floats
from construct.gains import SelectionGains
from construct.prompt import Prompt
from construct.spec import Spec
from construct.tasks import FeatureMap, Task
from proofs.sizes import Sizes, sizes


@dataclass(frozen=True)
class Setting:
    """What a bound is asked for: a prompt of at most `tokens` tokens whose inputs have norm at most
    `input_norm`.

    sizes: what rounding is relative to. leaks, rounds: which of the two sources of error to count.
    merged: the roundings that a mean makes beside, where equal keys are merged (`proofs.memory`).
    """

    spec: Spec
    gains: Any  # the theorem's own, which are SelectionGains at least
    tokens: int
    input_norm: float
    sizes: Sizes
    leaks: bool = True
    rounds: bool = True
    merged: int = 0

    def tau(self, layer: str) -> float:
        """Weight of a loser at distance T: scores are off by the layer's score error, and exp by a
        few roundings."""
        if not self.leaks:
            return 0.0
        weight = math.exp(-(self.gains.T - 2 * self.gains.error(layer))) * (
            1 + floats.gamma(8, self.spec.dtype)
        )
        return math.nextafter(
            weight, math.inf
        )  # an upper bound also where e^-T is below every float

    def far(self, layer: str) -> float:
        """Weight of all losers at distance 2T together: N e^-2T."""
        return self.tokens * self.tau(layer) ** 2

    def third(self, layer: str) -> float:
        """Weight of all losers at distance 3T together: N e^-3T. So BOS idles where no key's
        position counts for it."""
        return self.tokens * self.tau(layer) ** 3

    def shut(self, layer: str) -> float:
        """Weight that a shut gate lets through: BOS is 2T above the token in question, 4T above the
        rest."""
        return self.tau(layer) ** 2 + self.tokens * self.tau(layer) ** 4

    def output_rounding(self, f: float, y: float) -> float:
        """Rounding of W_i phi + b_i - y in max norm, f and y the errors of features and label: the
        matrix and the bias are rounded when stored, a product once, and the sum of r + 2 terms r +
        1 times. And what underflows there, and in the mean of so small outputs: a product and a sum
        a key."""
        sizes, weights = self.sizes, self.spec.weight_norm
        lost = self.underflow(self.spec.r + 2, self.feature_norm + 1 + sizes.label)
        return (
            self.gamma(self.spec.r + 3) * (sizes.products + weights * f)
            + self.gamma(self.spec.r + 2) * sizes.bias
            + self.gamma(self.spec.r + 1) * (sizes.label + y)
            + lost
            + self.underflow(self.tokens + 1, 0.0)
        )

    def stored(self, norm: float, size: int = 1) -> float:
        """Rounding of a vector of `size` coordinates to the dtype, in Euclidean norm: of its
        coordinates, and those so small that they are flushed to 0."""
        flushed = floats.smallest_normal(self.spec.dtype) if self.rounds else 0.0
        return self.gamma(1) * norm + math.sqrt(size) * flushed

    def underflow(self, terms: int, norm: float) -> float:
        """What a dot product loses to underflow, 0 if rounding is not counted."""
        return floats.underflow(terms, norm, self.spec.dtype) if self.rounds else 0.0

    def gamma(self, k: float) -> float:
        """The rounding factor of k roundings, 0 if rounding is not counted."""
        return floats.gamma(k, self.spec.dtype) if self.rounds else 0.0

    def select(self, extra: int = 0) -> float:
        """Rounding of a head with one winner: none if the softmax is hard (a weight of exactly 1,
        all others 0)."""
        return 0.0 if self.gains.hard else self.gamma(self.tokens + 3 + extra)

    def average(self, summands: int) -> float:
        """Rounding of a head that averages tied winners: the weight (2), the product, and the sum
        of the summands."""
        return self.gamma(summands + 3 + (0 if self.gains.hard else 2 * self.tokens))

    def mean_of_winners(self, leaked: float = 0.0) -> float:
        """Rounding of the mean at the answer token, relative to the longest summand: tokens are
        summed in blocks, then the blocks. A block is as long as the square root of the prompt with
        its padding, which a longer prompt of the same batch decides, up to the Spec's longest.

        With a hard softmax, and nothing leaked into the winners' scores, a weight is exactly 0 or
        1, and an example has one winner at most: what rounds is the additions of winners, and one
        division by their number, which is exact up to 1/u. The restricted evaluator adds by halves,
        ceil(log2 m') deep, which is no more.
        """
        tokens, n = self.tokens, self.spec.n
        longest = max(tokens, self.spec.tokens)
        block = np.arange(math.isqrt(tokens - 1), math.isqrt(longest - 1) + 1) + 1
        blocks = -(-tokens // block)
        examples = max((tokens - 1) // n - 1, 1)
        if not self.gains.hard or leaked or examples * floats.unit_roundoff(self.spec.dtype) > 1:
            return self.average(int((np.minimum(block, tokens) + blocks).max()) + self.merged)
        touched = np.minimum((block + n - 2) // n + 1, examples)  # examples in a block
        return self.gamma(min(examples - 1, int((touched + blocks).max()) - 2) + 1 + self.merged)

    @property
    def feature_norm(self) -> float:
        """Bound on the norm of phi(x)."""
        return feature_norm(self.spec, self.input_norm)


@dataclass(frozen=True)
class Errors:
    """How far each subspace of any token can be from the oracle's, in max norm (x, f, q, h: in
    Euclidean norm; w: summed over tasks).
    Flags are exact.

    output: of y where it is a task's output or the answer: at committed labels after Execute, at
    the answer token after Superpose. rest_f: of f at tokens that are no inputs. sink_f, sink_y: of
    f (q where a theorem has it) and y at BOS, which is an exact sink before the first layer alone.
    idle_y: of y at the answer token before it reads the answer.
    """

    x: float = 0.0
    y: float = 0.0
    f: float = 0.0
    q: float = 0.0
    h: float = 0.0
    w: float = 0.0
    z: float = 0.0
    count: float = 0.0
    ok: float = 0.0
    output: float = 0.0
    rest_f: float = 0.0
    sink_f: float = 0.0
    sink_y: float = 0.0
    idle_y: float = 0.0

    def of(self, subspace: str) -> float:
        """The bound of a subspace; 0 for flags and position codes, which no layer writes."""
        return getattr(self, subspace, 0.0)


def setting(
    spec: Spec,
    gains: SelectionGains,
    prompt: Prompt | int | None,
    input_norm: float | None,
    leaks: bool,
    rounds: bool,
    tasks: Sequence[Task] | None,
    feature_map: FeatureMap | None,
) -> Setting:
    """What to bound: one prompt, with its tasks coordinate by coordinate, or all of at most so many
    tokens (None: the Spec's longest) with inputs of norm at most `input_norm`.

    input_norm None: the Spec's input radius, or where it has none its radius; prompts with longer
    inputs are asked for as such.
    """
    if isinstance(prompt, Prompt):
        tokens, longest = prompt.tokens, longest_input(spec, prompt)
    else:
        tokens = spec.tokens if prompt is None else prompt
        longest = gains.input_radius
        if spec.input_radius is None:
            longest = min(longest, spec.radius)
    longest = longest if input_norm is None else input_norm
    return Setting(
        spec=spec,
        gains=gains,
        tokens=tokens,
        input_norm=longest,
        sizes=sizes(spec, prompt, feature_norm(spec, longest), tasks, feature_map),
        leaks=leaks,
        rounds=rounds,
    )


def feature_norm(spec: Spec, input_norm: float) -> float:
    """Bound on the norm of phi(x) for inputs up to a norm."""
    return spec.feature_norm * input_norm + spec.feature_bias_norm


def longest_input(spec: Spec, prompt: Prompt) -> float:
    """The norm of a prompt's longest input, the sum slot filled, rounded outward."""
    inputs = np.concatenate([prompt.inputs, prompt.query[None]])
    if spec.sum_slot:
        inputs = np.concatenate([inputs[:, :-1], inputs[:, :-1].sum(1, keepdims=True)], axis=1)
    outward = 1 + (spec.d + spec.n + 2) * float(np.finfo(float).eps)
    return float(np.linalg.norm(inputs, axis=-1).max()) * outward


def compose(setting: Setting, lemmas: Sequence[ModuleType]) -> list[Errors]:
    """The bounds on every subspace after each layer; before the first, the prompt is rounded to the
    dtype."""
    spec = setting.spec
    x = setting.stored(setting.input_norm, spec.d)
    state = Errors(x=x, f=0.0 if spec.features else x, y=setting.stored(setting.sizes.label))
    after = []
    for layer in lemmas:
        state = layer.lemma(setting, state)
        after.append(state)
    return after
