"""Hat functions: a whole number, read off a sum of one-hot vectors, becomes a one-hot vector again,
exactly.

    t      = <v, x>          v: the value of each word; on a sum of words, the sum of values
    h_s(t) = relu(t - (s-1)) - 2 relu(t - s) + relu(t - (s+1))

At whole t the hat h_s is 1 at t = s and 0 elsewhere. So addition of numbers followed by any
function on the sum is a true sum of ReLUs, read off features that all tasks share.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from construct.families.family import Words
from construct.tasks import FeatureMap


def number_features(
    words: Words, values: Mapping[str, int], least: int, greatest: int, *, keep: Words = ()
) -> FeatureMap:
    """phi(x): relu(x_w) for each word in `keep`, then relu(<v, x> - k) for k = least - 1 ..
    greatest + 1."""
    place = {word: i for i, word in enumerate(words)}
    copies = np.eye(len(words))[[place[word] for word in keep]].reshape(len(keep), len(words))
    value = np.zeros(len(words))
    for word, number in values.items():
        value[place[word]] = number
    knots = np.arange(least - 1, greatest + 2)
    return FeatureMap(
        weight=np.concatenate([copies, np.tile(value, (len(knots), 1))]),
        bias=np.concatenate([np.zeros(len(keep)), -knots.astype(float)]),
    )


def read_number(
    words: Words, names: Mapping[int, str], least: int, greatest: int, *, kept: int = 0
) -> Float[np.ndarray, "d r"]:
    """The matrix that turns those features into the one-hot vector of the name of the number;
    `kept` features come before."""
    place = {word: i for i, word in enumerate(words)}
    matrix = np.zeros((len(words), kept + greatest - least + 3))
    for number in range(least, greatest + 1):
        first = kept + number - least  # the feature of knot number - 1
        matrix[place[names[number]], first : first + 3] += [1, -2, 1]
    return matrix
