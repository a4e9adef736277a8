"""The oracle: what the theorems say, in plain NumPy float64, from the definition alone.

It shares no code with the layers: it never sees a weight of the transformer, only tasks, a prompt
and two thresholds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from construct import FeatureMap, Prompt, Task

ABSTAINED = -1


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the definition says of a prompt, in float64 (in balls for a certificate).

    inputs, query: with sum slots filled; features and query_features: phi of them. residuals (K,
    m'): ||g_i(X_j) - y_j||. explains (K, m'): which tasks explain which example. recognized (m'):
    the only one that does, else -1. counts (K,): m_i. outputs (K, d): g_i(X_query). vector (d,):
    sum_i (m_i/M) g_i(X_query), 0 if M = 0.
    """

    inputs: Shaped[np.ndarray, "m slots d"]
    query: Shaped[np.ndarray, "slots d"]
    features: Shaped[np.ndarray, "m slots r"]
    query_features: Shaped[np.ndarray, "slots r"]
    residuals: Shaped[np.ndarray, "K m"]
    explains: Bool[np.ndarray, "K m"]
    recognized: Int[np.ndarray, "m"]
    counts: Shaped[np.ndarray, "K"]
    outputs: Shaped[np.ndarray, "K d"]
    vector: Shaped[np.ndarray, "d"]

    @property
    def prevalence(self) -> Shaped[np.ndarray, "K"]:
        """m_i / M, 0 if M = 0."""
        return self.counts / max(self.counts.sum(), 1)


def judge(
    tasks: Sequence[Task],
    prompt: Prompt,
    tolerance: float,
    margin: float,
    feature_map: FeatureMap | None = None,
    sum_slot: bool = False,
) -> Verdict:
    """The verdict on a prompt. Raises ValueError if a residual lies between tolerance and
    margin."""
    inputs, query = fill(prompt.inputs, sum_slot), fill(prompt.query, sum_slot)
    features, query_features = features_of(feature_map, inputs), features_of(feature_map, query)
    guesses = np.stack([features[:, task.slot] @ task.weight.T + task.bias for task in tasks])
    residuals = np.linalg.norm(guesses - prompt.labels, axis=-1)
    # A residual on the boundary is computed with an error of its own; the definition's "at most"
    # and "at least" include it.
    slack = 64 * np.finfo(float).eps * (1 + np.abs(guesses).max())
    explains = residuals <= tolerance + slack
    undecided = ~explains & (residuals < margin - slack)
    if undecided.any():
        task, example = np.argwhere(undecided)[0]
        raise ValueError(
            f"example {example} is {residuals[task, example]:.6g} from task {task}: between "
            "tolerance and margin"
        )
    recognized = np.where(explains.sum(0) == 1, explains.argmax(0), ABSTAINED)
    counts = np.array([(recognized == i).sum() for i in range(len(tasks))])
    outputs = np.stack([task.weight @ query_features[task.slot] + task.bias for task in tasks])
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


def features_of(
    feature_map: FeatureMap | None, inputs: Float[np.ndarray, "*tokens d"]
) -> Float[np.ndarray, "*tokens r"]:
    """The features phi(x)."""
    return (
        inputs
        if feature_map is None
        else np.maximum(inputs @ feature_map.weight.T + feature_map.bias, 0)
    )


def fill(
    inputs: Float[np.ndarray, "*m slots d"], sum_slot: bool
) -> Float[np.ndarray, "*m slots d"]:
    """The inputs with the last slot replaced by the sum of the others, if it is a sum slot."""
    if not sum_slot:
        return inputs
    return np.concatenate(
        [inputs[..., :-1, :], inputs[..., :-1, :].sum(-2, keepdims=True)], axis=-2
    )
