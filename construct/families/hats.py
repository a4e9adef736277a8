"""Hat functions: a whole number, read off a sum of one-hot vectors, becomes a one-hot vector again,
exactly.

    t      = <v, x>          v: the value of each word; on a sum of words, the sum of values
    h_s(t) = relu(t - (s-1)) - 2 relu(t - s) + relu(t - (s+1))

At whole t the hat h_s is 1 at t = s and 0 elsewhere. So addition of numbers followed by any
function on the sum is a true sum of ReLUs, read off features that all tasks share.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from jaxtyping import Float

from construct.families.family import Words
from construct.tasks import FeatureMap


def knots(numbers: Iterable[int]) -> list[int]:
    """The whole numbers k of the features relu(t - k) that these numbers' hats are made of."""
    return sorted({number + step for number in numbers for step in (-1, 0, 1)})


def number_features(
    words: Words, values: Mapping[str, int], numbers: Iterable[int], *, keep: Words = ()
) -> FeatureMap:
    """phi(x): relu(x_w) for each word in `keep`, then relu(<v, x> - k) for each of the numbers'
    knots k. Words that have a value but are not among `words` are left out."""
    place = {word: i for i, word in enumerate(words)}
    copies = np.eye(len(words))[[place[word] for word in keep]].reshape(len(keep), len(words))
    value = np.zeros(len(words))
    for word, number in values.items():
        if word in place:
            value[place[word]] = number
    steps = np.array(knots(numbers), float)
    return FeatureMap(
        weight=np.concatenate([copies, np.tile(value, (len(steps), 1))]),
        bias=np.concatenate([np.zeros(len(keep)), -steps]),
    )


def read_number(
    words: Words, names: Mapping[int, str], numbers: Iterable[int], *, kept: int = 0
) -> Float[np.ndarray, "d r"]:
    """The matrix that turns those features into the one-hot vector of the name of the number, zero
    where the name is not among the words; `kept` features come before."""
    place = {word: i for i, word in enumerate(words)}
    numbers = list(numbers)
    feature = {knot: kept + i for i, knot in enumerate(knots(numbers))}
    matrix = np.zeros((len(words), kept + len(feature)))
    for number in numbers:
        if names[number] in place:
            hat = [feature[number + step] for step in (-1, 0, 1)]
            matrix[place[names[number]], hat] += [1, -2, 1]
    return matrix
