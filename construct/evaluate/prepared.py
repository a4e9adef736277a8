"""What the restricted evaluator makes once of a model, and uses for every prompt."""

from dataclasses import dataclass
from typing import cast

import jax
import numpy as np
from jaxtyping import Float

from construct.evaluate.certificate import certificate
from construct.evaluate.chunk import CHUNK, SHORTEST, Limits, Norms, Variant
from construct.evaluate.joined import Joined, join
from construct.evaluate.plan import Plan, make_plan
from construct.evaluate.screening import sketch_size
from construct.gains import CommonGains
from construct.layers import Stack
from construct.spec import Spec

# From so many tasks on, screening pays: measured on two cores (see benchmarks/scale.py for what is
# near them). Results do not depend on it.
SCREENED_TASKS = 48

# Examples are run by the piece, whose Recognize residuals take at most so many bytes: measured on
# two cores with 1 MiB of cache each and two chunks at once, and a matter of speed alone.
PIECE_BYTES = 1 << 23
LONGEST_PIECE = 1 << 11

# Examples are sent to a CPU in chunks of so many products of two numbers in Recognize. One takes
# two cores 25 to 50 ms (K = 16 to 1,024), so two at once keep both busy and a progress bar moves.
# Other devices take the largest chunks.
CHUNK_PRODUCTS = 1 << 31


@dataclass(frozen=True)
class Prepared:
    """A model's weights by blocks, bounds of its outputs' norms, and what a chunk is held against.

    norms: by subspace that makes an output, the spectral norm of each task's block. variant: how a
    chunk is run unless its own numbers ask for another way. longest: the examples that are work
    enough for a chunk, of which none holds more than CHUNK.
    content: which of those subspaces hold an input or its features, and no flag.
    joined: plan, norms and limits for a call that costs by the array.
    """

    plan: Plan
    norms: dict[str, Float[np.ndarray, "K"]]
    limits: Limits
    variant: Variant
    longest: int
    sketch: int
    content: frozenset[str]
    dtype: str
    joined: Joined
    feature_norm: float
    feature_bias_norm: float

    def bounded(self, x: Float[np.ndarray, "c slots d"]) -> bool:
        """Whether the outputs' bound is likely within its limit for examples like these, so that no
        norm need be computed."""
        longest = np.sqrt(np.einsum("csd,csd->cs", x, x).max())
        # What makes an output: an input, or its features, and the flag of an input.
        lengths = {"x": self.feature_norm * longest + self.feature_bias_norm}
        bound = sum(norm * lengths.get(name, 1) for name, norm in self.norms.items())
        return bool(np.max(bound) <= self.limits.output)


def prepare(model: Stack, screen: bool | None = None) -> Prepared:
    """All of it; screen: whether Recognize is screened, None where that pays.

    Raises ValueError if the weights have no certificate.
    """
    certificate(model).require()
    spec = model.spec
    wanted = screen if screen is not None else spec.K >= SCREENED_TASKS
    sketch = sketch_size(spec.K, spec.d, spec.margin, spec.radius) if wanted else 0
    plan = jax.device_put(make_plan(model, sketch))
    norms, held = block_norms(plan), limits(model)
    return Prepared(
        plan,
        norms,
        held,
        variant(model, sketch),
        _longest(spec, sketch),
        sketch,
        frozenset({"x", "f"} & set(plan.outputs)),
        spec.dtype,
        join((plan, norms, held), spec.dtype),
        spec.feature_norm,
        spec.feature_bias_norm,
    )


def limits(model: Stack) -> Limits:
    """What the theorem and the Spec hold a chunk against."""
    spec, gains = model.spec, cast(CommonGains, model.gains)
    slack = model.readout.norm_slack(spec, gains)

    def held(value: float) -> np.ndarray:
        return np.asarray(value, spec.dtype)

    return Limits(
        slots=np.array(model.slots),
        input_radius=held(gains.input_radius),
        radius=held(spec.radius),
        output=held(spec.radius + slack),
        decided=held(gains.decided),
        T=held(gains.T),
        slack=held(slack),
    )


def _scored(spec: Spec, sketch: int) -> int:
    """The numbers that Recognize holds of an example: d of each task and slot, or a sketch of
    them."""
    return (spec.n - 1) * spec.K * (sketch or spec.d)


def _longest(spec: Spec, sketch: int) -> int:
    """The examples that are work enough for a chunk, which may be more than a chunk holds."""
    if jax.default_backend() != "cpu":
        return CHUNK
    return max(SHORTEST, _power_below(CHUNK_PRODUCTS // (spec.r * _scored(spec, sketch))))


def _power_below(count: int) -> int:
    """The largest power of two up to a count; 1 below that."""
    return 1 << max(0, count.bit_length() - 1)


def variant(model: Stack, sketch: int) -> Variant:
    """How a chunk is run at first."""
    spec = model.spec
    example = _scored(spec, sketch) * np.dtype(spec.dtype).itemsize
    piece = min(LONGEST_PIECE, max(16, _power_below(PIECE_BYTES // example)))
    norms = Norms.EVERY if model.readout.always else Norms.LONGEST
    return Variant(model.readout, piece, sketch > 0, norms)


def block_norms(plan: Plan) -> dict[str, np.ndarray]:
    """By subspace, an upper bound of each task's spectral norm, of the stored blocks that make its
    output."""
    found = {}
    for name, block in plan.outputs.items():
        rows = np.asarray(block.full(plan.residual.size(name)), np.float64)
        if rows.shape[1] < rows.shape[2]:  # the smaller of the two Gram matrices
            rows = np.swapaxes(rows, 1, 2)
        gram = np.einsum("hru,hrv->huv", rows, rows, optimize=True)
        # The eigenvalues of a Gram matrix, rounded outward, and up to the dtype of the forward
        # pass.
        largest = np.linalg.eigvalsh(gram)[:, -1].clip(0)
        slack = 1 + 4 * sum(rows.shape[1:]) * np.finfo(float).eps
        found[name] = np.nextafter(
            (np.sqrt(largest) * slack).astype(block.data.dtype), np.inf, dtype=block.data.dtype
        )
    return found
