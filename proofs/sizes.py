"""How large the numbers are that rounding is relative to, at the answer's coordinates.

A Spec knows norms alone. A prompt knows its own labels, and with the tasks every product that its
answer sums: a bound for the prompt at hand is relative to these, coordinate by coordinate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from construct import checks
from construct.prompt import Prompt
from construct.spec import Spec
from construct.tasks import FeatureMap, Task


@dataclass(frozen=True)
class Sizes:
    """Upper bounds, in max norm unless said otherwise.

    products: of sum_j |W_aj phi_j| over tasks and coordinates a, phi the query's features. bias: of
    b_i. output: of W_i phi + b_i on the query. label: of an example's label.
    """

    products: float
    bias: float
    output: float
    label: float


def sizes(
    spec: Spec,
    prompt: Prompt | int | None,
    feature_norm: float,
    tasks: Sequence[Task] | None,
    feature_map: FeatureMap | None,
) -> Sizes:
    """What is known of a prompt's numbers: from the Spec alone where there is no prompt, or no
    tasks. feature_norm: of phi of any of its inputs. Raises ValueError for tasks without a
    prompt."""
    if tasks is not None and not isinstance(prompt, Prompt):
        raise checks.refuse(
            "prompt",
            f"{prompt!r:.60}",
            "must be a Prompt where tasks are passed: their outputs are bounded on its query",
            "pass the prompt, or leave the tasks out",
        )
    label = spec.radius
    if isinstance(prompt, Prompt):
        label = min(label, float(np.abs(prompt.labels).max(initial=0)))
    products = spec.weight_norm * feature_norm
    found = Sizes(products, spec.bias_norm, min(spec.radius, products + spec.bias_norm), label)
    if tasks is None or not isinstance(prompt, Prompt):
        return found
    features = query_features(spec, prompt, feature_map)
    products, bias, output = (
        max(float(np.max(part)) for part in parts)
        for parts in zip(*(_parts(task, features[task.slot]) for task in tasks), strict=True)
    )
    # They are computed in float64 themselves.
    outward = (spec.r + spec.d + spec.n + 4) * float(np.finfo(float).eps)
    products, bias = (1 + outward) * products, (1 + outward) * bias
    return Sizes(products, bias, min(found.output, output + outward * (products + bias)), label)


def _parts(
    task: Task, features: Float[np.ndarray, "r"]
) -> tuple[Float[np.ndarray, "d"], Float[np.ndarray, "d"], Float[np.ndarray, "d"]]:
    """By coordinate: the magnitudes that a task's output sums, its bias, and the output."""
    products = np.abs(task.weight) @ np.abs(features)
    return products, np.abs(task.bias), np.abs(task.weight @ features + task.bias)


def query_features(
    spec: Spec, prompt: Prompt, feature_map: FeatureMap | None
) -> Float[np.ndarray, "slots r"]:
    """phi of the query's inputs, the sum slot filled."""
    query = np.array(prompt.query, np.float64)
    if spec.sum_slot:
        query[-1] = query[:-1].sum(0)
    if feature_map is None:
        return query
    return np.maximum(query @ feature_map.weight.T + feature_map.bias, 0)
