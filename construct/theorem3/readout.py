"""What is read of Theorem 3's transformer, and how it is decoded: a label or task that does not
preserve the norm is refused."""

from collections.abc import Callable
from functools import lru_cache
from typing import cast

import numpy as np
from jaxtyping import Float, Int

from construct import checks
from construct.answer import ABSTAINED
from construct.floats import gamma
from construct.layers import Stack
from construct.readout import Readings, Readout, check_decided, check_output_norms
from construct.roles import LABEL, QUERY
from construct.spec import Spec
from construct.theorem3.gains import Gains


def decode(
    stack: Stack,
    labels: Float[np.ndarray, "m d"],
    name: str,
    readings: Readings,
    enforce: bool,
    first: int,
) -> Int[np.ndarray, "m"]:
    """The task of each example, off its label's w after Recognize."""
    examples = len(labels)
    if enforce:
        _check_norms(stack, labels, name, readings, first)
        check_decided(stack.spec, cast(Gains, stack.gains), name, readings.gap[:, :examples], first)
    code = readings.code[:examples]
    # A code that is not a number says nothing.
    said = (readings.ok[:examples] > 0.5) & ~np.isnan(code).any(1)
    return np.where(said, np.nan_to_num(code).argmax(1), ABSTAINED)


@lru_cache(maxsize=256)
def norm_slack(spec: Spec, gains: Gains) -> float:
    """Norms are computed in the model's own format: d products and sums on numbers of at most ||W||
    X + ||b||."""
    longest = spec.d**0.5 * spec.weight_norm * gains.input_radius + spec.bias_norm
    return gamma(2 * spec.d + 8, spec.dtype) * longest


def _check_norms(
    stack: Stack, labels: np.ndarray, name: str, readings: Readings, first: int
) -> None:
    """Lemma 1 reads a residual off an inner product: labels, and outputs in their task's slot, must
    have norm 1."""
    spec, gains, examples = stack.spec, cast(Gains, stack.gains), len(labels)
    slack = norm_slack(spec, gains)
    check_output_norms(spec, examples, name, readings.output_norm, slack, first)
    norms = np.linalg.norm(labels.astype(float), axis=-1)
    _refuse_norms(gains.norm_tolerance, norms, lambda j: (f"{name}.labels[{first + j}]", "a label"))
    own = np.array(stack.slots)[:, None, None]
    in_slot = np.take_along_axis(readings.output_norm[:, :examples], own, axis=2)[..., 0]
    for i, norms in enumerate(in_slot):
        # A square is off by twice the slack times the norm, which the tolerance keeps below 2.
        _refuse_norms(
            gains.norm_tolerance + 4 * slack,
            norms,
            lambda j, i=i: (f"{name} example {first + j}, task {i}", "an output"),
        )


def _refuse_norms(
    tolerance: float, norms: np.ndarray, what: Callable[[int], tuple[str, str]]
) -> None:
    off = np.abs(norms**2 - 1)
    if off.max() > tolerance:
        argument, kind = what(int(off.argmax()))
        raise checks.refuse(
            argument,
            f"{kind} of norm {norms[off.argmax()]:.6g}",
            f"its square must be within {tolerance:.3g} = (margin^2 - tolerance^2)/16 of 1 "
            "(Theorem 3)",
            "use tasks that preserve the norm on norm-1 inputs, rescale, or use Theorem 1",
        )


READOUT = Readout(
    theorem=3,
    layer="recognize",
    asks=LABEL,
    term="agreement",
    less=None,
    codes=("recognize", "w"),
    features=(QUERY, "x"),
    decode=decode,
    norm_slack=norm_slack,
    always=True,
)
