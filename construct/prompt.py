"""Prompts, batches of them, and their embedding into the residual stream."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from construct import checks
from construct.floats import gamma, unit_roundoff
from construct.residual import Residual, position_codes
from construct.roles import BOS, EXAMPLE, INPUT, LABEL, QUERY, ROLES, Role, roles_of
from construct.spec import Spec


@dataclass(frozen=True, eq=False)
class Prompt:
    """m' in-context examples and a query: BOS, m' examples of n - 1 inputs and a label, n - 1 query
    inputs and a blank.

    Shapes: inputs (m', n-1, d), labels (m', d), query (n-1, d), with m' >= 1 and n >= 2.
    Raises ValueError when the shapes disagree, there is no example, or a value is not finite.
    """

    inputs: Float[np.ndarray, "m slots d"]
    labels: Float[np.ndarray, "m d"]
    query: Float[np.ndarray, "slots d"]

    def __post_init__(self) -> None:
        inputs = checks.floats("inputs", self.inputs, ("m", "n-1", "d"))
        labels = checks.floats("labels", self.labels, ("m", "d"))
        query = checks.floats("query", self.query, ("n-1", "d"))
        examples, slots, d = inputs.shape
        if examples < 1:
            raise checks.refuse(
                "inputs",
                "no examples",
                "a prompt needs at least one example",
                "pass m' >= 1 examples",
            )
        if slots < 1:
            raise checks.refuse(
                "inputs",
                f"an array of shape {inputs.shape}",
                "an example needs n >= 2 tokens: an input and its label",
                "pass at least one input an example",
            )
        if d < 1:
            raise checks.refuse(
                "inputs",
                f"an array of shape {inputs.shape}",
                "vectors need d >= 1 coordinates",
                "pass d >= 1",
            )
        checks.shape("labels", labels, (examples, d), "(m', d) of these inputs")
        checks.shape("query", query, (slots, d), "(n-1, d) of these inputs")
        for name, value in (("inputs", inputs), ("labels", labels), ("query", query)):
            object.__setattr__(self, name, value)

    @property
    def examples(self) -> int:
        """The number of examples m'."""
        return len(self.labels)

    @property
    def tokens(self) -> int:
        """The number of tokens N = 1 + (m' + 1) n."""
        return 1 + (self.examples + 1) * (len(self.query) + 1)


class Batch(NamedTuple):
    """Prompts of one shape, padded to the same number of examples: `real` is False where an example
    is padding."""

    inputs: Float[Array | np.ndarray, "*B m slots d"]
    labels: Float[Array | np.ndarray, "*B m d"]
    query: Float[Array | np.ndarray, "*B slots d"]
    real: Bool[Array | np.ndarray, "*B m"]

    @property
    def tokens(self) -> int:
        """The rows of a prompt, padding included."""
        return 1 + (self.inputs.shape[-3] + 1) * (self.inputs.shape[-2] + 1)


def check_prompt(spec: Spec, prompt: Prompt, name: str, input_radius: float) -> None:
    """Refuse a prompt that is outside the theorem's hypotheses, as far as its own numbers tell.

    Raises ValueError for a shape that is not the Spec's, more than m examples, a label beyond the
    radius R, an input beyond the input radius, or a sum slot that is not blank.
    """
    if not isinstance(prompt, Prompt):
        raise checks.refuse(
            name,
            f"a {type(prompt).__name__}",
            "must be a Prompt",
            "a call takes a Prompt or a list of them, a trace one",
        )
    n_inputs, d = prompt.query.shape
    if d != spec.d:
        raise checks.refuse(
            f"{name}.inputs",
            f"vectors of dimension {d}",
            f"must have d = {spec.d}",
            "match the Spec",
        )
    if n_inputs != spec.n - 1:
        raise checks.refuse(
            f"{name}.inputs",
            f"examples of {n_inputs} inputs",
            f"must have n - 1 = {spec.n - 1}",
            "match the Spec",
        )
    if prompt.examples > spec.m:
        raise checks.refuse(
            f"{name}.inputs",
            f"{prompt.examples} examples",
            f"must have at most m = {spec.m}",
            "drop some or build with a larger m",
        )
    check_examples(spec, prompt.inputs, prompt.labels, name, input_radius)
    check_query(spec, prompt.query, name, input_radius)


def check_examples(
    spec: Spec,
    inputs: Float[np.ndarray, "m slots d"],
    labels: Float[np.ndarray, "m d"],
    name: str,
    input_radius: float,
    first: int = 0,
) -> None:
    """Refuse a label beyond the radius, an input beyond the input radius, or a sum slot that is not
    blank.

    first: the place in the prompt of the first of these examples.
    """
    _check_norms(
        spec, f"{name}.labels", labels, spec.radius, "radius", "the labels' norms (Lemma 3)", first
    )
    _check_inputs(spec, f"{name}.inputs", inputs, input_radius, first)


def check_query(
    spec: Spec, query: Float[np.ndarray, "slots d"], name: str, input_radius: float
) -> None:
    """Refuse a query beyond the input radius, or whose sum slot is not blank."""
    _check_inputs(spec, f"{name}.query", query, input_radius)


def check_queries(
    spec: Spec,
    queries: Float[np.ndarray, "queries slots d"],
    name: str,
    input_radius: float,
    first: int,
) -> None:
    """`check_query` of many that may hold any numbers; first: the place of the first of them."""
    short = surely_short(queries, input_radius)
    if short and not spec.sum_slot:
        return
    if not short and not np.isfinite(queries).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(queries))[0])
        raise checks.refuse(
            f"{name}.queries{[first + where[0], *where[1:]]}",
            queries[where],
            "must be finite",
            "remove NaN and infinity first",
        )
    _check_inputs(spec, f"{name}.queries", queries, input_radius, first)


def _check_inputs(
    spec: Spec,
    name: str,
    inputs: Float[np.ndarray, "*m slots d"],
    input_radius: float,
    first: int = 0,
) -> None:
    if spec.sum_slot:
        blank = inputs[..., -1, :]
        if blank.any():
            raise checks.refuse(
                name,
                f"{np.abs(blank).max():g} in slot {spec.n - 2}",
                "the sum slot must be blank (0): Lift fills it",
                "pass zeros there",
            )
        inputs = np.concatenate([inputs[..., :-1, :], inputs.sum(-2, keepdims=True)], -2)
    _check_norms(
        spec,
        name,
        inputs,
        input_radius,
        "input_radius",
        "the inputs' norms (rounding, or as passed)",
        first,
    )


def _check_norms(
    spec: Spec,
    name: str,
    values: np.ndarray,
    limit: float,
    parameter: str,
    meaning: str,
    first: int,
) -> None:
    if surely_short(values, limit):
        return
    norms = np.linalg.norm(values, axis=-1)
    # Norms are rounded themselves: a vector that is exactly on the sphere must pass.
    limit_here = limit * (1 + (values.shape[-1] + 2) * np.finfo(values.dtype).eps)
    if not norms.size or norms.max() <= limit_here:
        return
    # One that was rounded to the Spec's dtype may be longer by that, as any may be when the
    # transformer stores it: the gains pay for it.
    stored = (values.astype(spec.dtype) == values).all(-1)
    over = norms / np.where(stored, limit_here * (1 + unit_roundoff(spec.dtype)), limit_here)
    if over.max() > 1:
        where = tuple(int(i) for i in np.unravel_index(over.argmax(), norms.shape))
        raise checks.refuse(
            f"{name}{[first + where[0], *where[1:]]}",
            f"a vector of norm {norms[where]:.6g}",
            f"must have norm at most {parameter} = {limit:.6g}, which bounds {meaning}",
            f"build with a larger {parameter}, a wider margin or float64, or rescale",
        )


def surely_short(vectors: Float[np.ndarray, "*vectors d"], limit: float) -> bool:
    """Whether no vector is longer than the limit, whatever their squares round by: some ten times
    as fast as their norms. NaN is not short."""
    if not vectors.size:
        return True
    slack = 1 - _roundings(vectors.shape[-1] + 4, vectors.dtype)
    return bool(np.einsum("...d,...d->...", vectors, vectors).max() <= slack * limit**2)


@lru_cache(maxsize=1024)
def _roundings(count: int, dtype: np.dtype) -> float:
    """`gamma`, kept: spelling a dtype's name would take longer than the rest of a call's check."""
    return gamma(count, dtype.name)


def check_count(spec: Spec, inputs: Array, axes: int) -> int:
    """The number of examples m', the first of the last `axes` axes of their inputs. Raises
    ValueError unless it is from 1 to m."""
    count = inputs.shape[-axes] if inputs.ndim >= axes else 0
    if not 1 <= count <= spec.m:
        raise checks.refuse(
            "inputs",
            f"{count} examples in an array of shape {inputs.shape}",
            f"must be from 1 to m = {spec.m}",
            "drop some, or build with a larger m",
        )
    return count


def padded_sizes(examples: Sequence[int], m: int) -> tuple[int, int]:
    """Of prompts of so many examples, how many examples and how many prompts their batch has: up to
    the next power of four (at most m), and of two."""
    padded = min(m, 4 ** math.ceil(math.log(max(examples), 4)))
    return padded, 1 << (len(examples) - 1).bit_length()


def batch_of(prompts: Sequence[Prompt], spec: Spec) -> Batch:
    """One batch of checked prompts, padded in examples and in prompts so that few shapes compile.

    Examples go up to the next power of four (at most m), prompts to the next power of two: the
    prompts that fill the batch are copies of the first one.
    """
    padded, count = padded_sizes([prompt.examples for prompt in prompts], spec.m)
    prompts = [*prompts, *[prompts[0]] * (count - len(prompts))]

    def together(parts: list[np.ndarray]) -> np.ndarray:
        out = np.zeros((len(parts), padded, *parts[0].shape[1:]), spec.dtype)
        for row, part in zip(out, parts, strict=True):
            row[: len(part)] = part
        return out

    return Batch(
        inputs=together([prompt.inputs for prompt in prompts]),
        labels=together([prompt.labels for prompt in prompts]),
        query=np.array([prompt.query for prompt in prompts], spec.dtype),
        real=np.arange(padded) < np.array([[len(prompt.labels)] for prompt in prompts]),
    )


def own_rows(batch: Batch, index: int) -> Int[np.ndarray, "tokens"]:
    """The rows of a batch's streams that are one prompt's own tokens, and no padding."""
    n = batch.inputs.shape[2] + 1
    real = np.repeat(np.asarray(batch.real[index]), n)
    return np.flatnonzero(np.concatenate([[True], real, np.ones(n, bool)]))


def embed(batch: Batch, residual: Residual, m: int) -> tuple[Float[Array, "N D"], Bool[Array, "N"]]:
    """The residual stream of one prompt before the first layer, and which tokens are real.

    Tokens: BOS; the examples, n tokens each; the query, whose example index is m; N = 1 + (m' + 1)
    n.
    """
    examples, slots, _d = batch.inputs.shape
    n, dtype = slots + 1, batch.inputs.dtype
    contents = {INPUT: batch.inputs, LABEL: batch.labels[:, None], QUERY: batch.query[None]}

    def group(name: str, index: Int[Array | np.ndarray, "groups"]) -> Float[Array, "tokens D"]:
        rows = [
            residual.assemble(_parts(role, residual, n, index, contents.get(role.name), dtype))
            for role in roles_of(name)
        ]
        return jnp.concatenate(rows, axis=1).reshape(-1, residual.dim)

    bos = residual.assemble({flag: np.ones((1, 1), dtype) for flag in ROLES[BOS].flags})
    stream = [bos, group(EXAMPLE, jnp.arange(examples)), group(QUERY, np.array([m]))]
    real = jnp.concatenate([np.ones(1, bool), jnp.repeat(batch.real, n), np.ones(n, bool)])
    return jnp.concatenate(stream), real


def _parts(
    role: Role,
    residual: Residual,
    n: int,
    index: Int[Array | np.ndarray, "groups"],
    content: Float[Array | np.ndarray, "groups slots d"] | None,
    dtype: jnp.dtype,
) -> dict[str, Float[Array | np.ndarray, "#groups #slots size"]]:
    """By subspace, what the tokens of a role hold in groups of these indices."""
    slots = np.array(role.slots(n))
    parts: dict[str, Any] = {
        "e": position_codes(index, residual.size("e"), dtype)[:, None],
        "s": position_codes(slots, residual.size("s"), dtype)[None],
    } | {flag: np.ones((1, 1, 1), dtype) for flag in role.flags}
    if role.content is not None and content is not None:
        parts[role.content] = content
    if "sum" in residual.names and not role.last:
        parts["sum"] = (slots == n - 2).astype(dtype)[None, :, None]
    return parts
