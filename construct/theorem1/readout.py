"""What is read of Theorem 1's transformer, and how it is decoded.

The task that explains an example is read off its label's code after Commit; an example between
tolerance and margin is found from Recognize's own score gaps, on the way.
"""

from typing import cast

import numpy as np
from jaxtyping import Float, Int

from construct.answer import ABSTAINED
from construct.layers import Stack
from construct.readout import Readings, Readout, check_decided, check_output_norms, residual_slack
from construct.roles import INPUT, QUERY
from construct.theorem1.gains import Gains


def decode(
    stack: Stack,
    labels: Float[np.ndarray, "m d"],
    name: str,
    readings: Readings,
    enforce: bool,
    first: int,
) -> Int[np.ndarray, "m"]:
    """The task of each example, off its label's code."""
    spec, gains, examples = stack.spec, cast(Gains, stack.gains), len(labels)
    if enforce:
        check_output_norms(spec, examples, name, readings.output_norm, gains.residual, first)
        check_decided(spec, gains, name, readings.gap[:, :examples], first)
    return decode_codes(readings.code[:examples], readings.ok[:examples], spec.K)


def decode_codes(
    code: Float[np.ndarray, "m 2"], ok: Float[np.ndarray, "m"], K: int
) -> Int[np.ndarray, "m"]:
    """The task whose code is nearest to each label's, where the label is committed; -1
    elsewhere."""
    says = ok > 0.5
    if not np.isfinite(code).all():  # a code that is not a number says nothing
        says &= ~np.isnan(code).any(1)
        code = np.nan_to_num(code)
    nearest = np.rint(np.arctan2(code[:, 1], code[:, 0]) * K / (2 * np.pi)).astype(np.int64) % K
    return np.where(says, nearest, ABSTAINED)


READOUT = Readout(
    theorem=1,
    layer="recognize",
    asks=INPUT,
    term="residual",
    less="y",
    codes=("commit", "z"),
    features=(QUERY, "f"),
    decode=decode,
    norm_slack=residual_slack,
)
