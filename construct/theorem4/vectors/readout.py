"""What is read of Theorem 4's transformer on vectors: as on words, and what its heads said of each
example and of the words so far, by which a line that is neither explained nor not is refused."""

from typing import cast

import numpy as np
from jaxtyping import Float, Int

from construct import checks
from construct.answer import ABSTAINED
from construct.layers import Stack
from construct.lines import VECTORS
from construct.readout import Readings, Readout
from construct.theorem4.vectors.gains import Gains


def decode(
    stack: Stack,
    labels: Float[np.ndarray, "m L d"],
    name: str,
    readings: Readings,
    enforce: bool,
    first: int,
) -> Int[np.ndarray, "m"]:
    """The task of each example, off what Commit's heads say at its last vector."""
    said = readings.code[: len(labels)]
    if enforce:
        for j, each in enumerate(said):
            _check_decided(stack, each, f"{name} example {first + j}")
        if readings.prefix is not None:
            _check_decided(stack, readings.prefix, f"{name}.prefix")
    counted = (readings.ok[: len(labels)] > 0.5) & ~np.isnan(said).any(1)
    return np.where(counted, np.nan_to_num(said).argmax(1), ABSTAINED)


def _check_decided(stack: Stack, said: Float[np.ndarray, "K"], name: str) -> None:
    """Commit decides every residual that is at most rho or at least delta: its heads say 0 or 1, up
    to their leak (Lemma 3)."""
    spec = stack.spec
    off = np.minimum(np.abs(said), np.abs(1 - said))
    if not (off <= cast(Gains, stack.gains).said).all():
        raise checks.refuse(
            f"{name}, task {int(np.nan_to_num(off, nan=np.inf).argmax())}",
            "a residual between",
            f"must be at most tolerance = {spec.tolerance:.6g} or at least margin = "
            f"{spec.margin:.6g}",
            "move the answer, or build with a tolerance and margin that leave it outside",
        )


READOUT = Readout(
    theorem=4,
    version="vectors",
    decode=decode,
    codes=("commit", "said"),
    posterior=("posterior", "omega"),
    prefix=("commit", "said"),
    always=True,
    layout=VECTORS,
    evaluators=("dense",),
)
