"""What is read off Theorem 3's transformer, and how it is decoded: a label or task that does not
preserve the norm is refused."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from construct import checks
from construct.answer import ABSTAINED
from construct.floats import gamma
from construct.reading import (
    Outputs,
    Parts,
    Readings,
    check_decided,
    check_output_norms,
    gap_at_slots,
)
from construct.residual import Residual
from construct.restricted.attention import Scores, Tokens
from construct.restricted.program import LABEL
from construct.spec import Spec
from construct.theorem3.gains import Gains
from construct.transformer import Layer


def observe(
    layer: Layer, before: Array, after: Array, slots: Array, residual: Residual, examples: int
) -> dict[str, Array]:
    """Recognize's gaps by task and example, outputs' norms by task and input, and the labels' w and
    ok after it."""
    if layer.name != "recognize":
        return {}
    bank = layer.banks[0]
    groups = before[1:].reshape(examples + 1, -1, residual.dim)
    queries = _product("md,had->hma", groups[:examples, -1], bank.W_Q[...])
    keys = _product("gsd,had->hgsa", groups[:, :-1], bank.W_K[...])
    at_slot = jnp.take_along_axis(keys[:, :examples], slots[:, None, None, None], axis=2)[:, :, 0]
    bos = _product("d,had->ha", before[0], bank.W_K[...])
    labels = after[1:].reshape(examples + 1, -1, residual.dim)[:examples, -1]
    output_norm = jnp.sqrt((keys[..., bank.rows("agreement")] ** 2).sum(-1))
    return {
        "gap": (queries * at_slot).sum(-1) - _product("hma,ha->hm", queries, bos),
        "output_norm": output_norm,
        "own_norm": jnp.take_along_axis(output_norm[:, :examples], slots[:, None, None], axis=2)[
            ..., 0
        ],
        "code": residual.read(labels, "w"),
        "ok": residual.read(labels, "ok")[:, 0],
    }


def _product(subscripts: str, *arrays: Array) -> Array:
    return jnp.einsum(subscripts, *arrays, precision=jax.lax.Precision.HIGHEST)


def survey(
    layer: str, tokens: str, after: Tokens, scores: list[list[Scores]], slots: Array
) -> dict[str, Array]:
    """The same of the restricted evaluator, examples last."""
    if (layer, tokens) != ("recognize", LABEL):
        return {}
    return {
        "gap": gap_at_slots(scores, slots),
        "code": after.read("w", len(slots))[:, 0],
        "ok": after.read("ok", 1)[0, 0],
    }


def decode(
    gains: Gains,
    spec: Spec,
    labels: Float[np.ndarray, "m d"],
    name: str,
    readings: Readings,
    enforce: bool,
    first: int,
) -> Int[np.ndarray, "m"]:
    """The task of each example, off its label's w after Recognize."""
    examples = len(labels)
    if enforce:
        _check_norms(gains, spec, labels, name, readings, first)
        check_decided(spec, name, readings.gap[:, :examples], gains, first)
    return np.where(readings.ok[:examples] > 0.5, readings.code[:examples].argmax(1), ABSTAINED)


def norm_slack(gains: Gains, spec: Spec) -> float:
    """Norms are computed in the model's own format: d products and sums on numbers of at most ||W||
    X + ||b||."""
    longest = spec.d**0.5 * spec.weight_norm * gains.input_radius + spec.bias_norm
    return gamma(2 * spec.d + 8, spec.dtype) * longest


def _check_norms(
    gains: Gains, spec: Spec, labels: np.ndarray, name: str, readings: Readings, first: int
) -> None:
    """Lemma 1 reads a residual off an inner product: labels, and outputs in their task's slot, must
    have norm 1."""
    slack = norm_slack(gains, spec)
    check_output_norms(spec, len(labels), name, readings.output_norm, slack, first)
    norms = np.linalg.norm(labels.astype(float), axis=-1)
    _refuse_norms(gains.norm_tolerance, norms, lambda j: (f"{name}.labels[{first + j}]", "a label"))
    for i, norms in enumerate(readings.own_norm[:, : len(labels)]):
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


THEOREM3 = Parts(
    observe, survey, decode, norm_slack, Outputs("recognize", "agreement", None), always=True
)
