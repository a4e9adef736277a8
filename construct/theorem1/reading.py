"""What is read off Theorem 1's transformer, and how it is decoded.

The tasks that explain an example are read off the label's task code after Commit; an example
between tolerance and margin is found from Recognize's own score gaps, on the way.
"""

import numpy as np
from jaxtyping import Array, Float, Int

from construct.answer import ABSTAINED
from construct.reading import (
    Outputs,
    Parts,
    Readings,
    check_decided,
    check_output_norms,
    gap_at_slots,
    own_recognition,
)
from construct.residual import Residual
from construct.restricted.attention import Scores, Tokens
from construct.restricted.program import INPUTS, LABEL
from construct.spec import Spec
from construct.theorem1.gains import Gains
from construct.transformer import Layer


def decode(
    gains: Gains,
    spec: Spec,
    labels: Float[np.ndarray, "m d"],
    name: str,
    readings: Readings,
    enforce: bool,
    first: int,
) -> Int[np.ndarray, "m"]:
    """The task of each example, off its label's code after Commit; the examples are the prompt's
    from `first` on."""
    examples = len(labels)
    if enforce:
        check_output_norms(spec, examples, name, readings.output_norm, gains.residual, first)
        check_decided(spec, name, readings.gap[:, :examples], gains, first)
    return decode_codes(readings.code[:examples], readings.ok[:examples], spec.K)


def decode_codes(
    code: Float[np.ndarray, "m 2"], ok: Float[np.ndarray, "m"], K: int
) -> Int[np.ndarray, "m"]:
    """The task whose code is nearest to each label's, where the label is committed; -1
    elsewhere."""
    nearest = np.rint(np.arctan2(code[:, 1], code[:, 0]) * K / (2 * np.pi)).astype(np.int64) % K
    return np.where(ok > 0.5, nearest, ABSTAINED)


def observe(
    layer: Layer, before: Array, after: Array, slots: Array, residual: Residual, examples: int
) -> dict[str, Array]:
    """What Theorem 1 reads after a layer: Recognize's gaps and output norms, and the labels' codes
    after Commit."""
    if layer.name == "recognize":
        return own_recognition(layer, before, slots, residual, examples)
    if layer.name == "commit":
        labels = after[1:].reshape(examples + 1, -1, residual.dim)[:examples, -1]
        return {"code": residual.read(labels, "z"), "ok": residual.read(labels, "ok")[:, 0]}
    return {}


def survey(
    layer: str, tokens: str, after: Tokens, scores: list[list[Scores]], slots: Array
) -> dict[str, Array]:
    """The same of the restricted evaluator, examples last."""
    if (layer, tokens) == ("recognize", INPUTS):
        return {"gap": gap_at_slots(scores, slots)}
    if (layer, tokens) == ("commit", LABEL):
        return {"code": after.read("z", 2)[:, 0], "ok": after.read("ok", 1)[0, 0]}
    return {}


THEOREM1 = Parts(
    observe,
    survey,
    decode,
    lambda gains, spec: gains.residual,
    Outputs("recognize", "residual", "y"),
    always=False,
)
