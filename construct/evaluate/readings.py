"""What was found in examples, as a theorem reads it: the task of each."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from construct.layers import Stack
from construct.readout import Readings


def recognized(
    model: Stack,
    labels: Float[np.ndarray, "c d"],
    name: str,
    found: dict[str, Any],
    query_norms: Float[np.ndarray, "K slots 1"],
    *,
    first: int,
    enforce: bool,
) -> Int[np.ndarray, "c"]:
    """The tasks of some examples, from what was found of them (and of padding).

    first: the place of the first of them in the prompt. enforce: the device could not rule out that
    a hypothesis fails, and kept gaps and norms. Raises ValueError where one does.
    """
    found = {key: np.asarray(value)[..., : len(labels)] for key, value in found.items()}
    norms = found.get("output_norm")
    if norms is not None:
        norms = np.concatenate([norms, query_norms], axis=2).swapaxes(1, 2)
    code = found["code"].T if "code" in found else None
    readings = Readings(None, found.get("gap"), norms, code, found.get("ok"))
    return model.readout.decode(
        model, labels, name, readings, enforce=enforce or model.readout.always, first=first
    )
