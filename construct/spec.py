"""Spec: the theorem's parameters, validated once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from construct import checks
from construct.checks import DERIVED
from construct.floats import DTYPES
from construct.tasks import FeatureMap, Task, check_family


@dataclass(frozen=True, kw_only=True)
class Spec:
    """The parameters of a construction; every gain and every bound is a formula of these.

    K tasks on vectors of dimension d; prompts of up to m examples of n tokens each; `features` r
    (0: phi is the identity). margin delta: a task that does not explain an example misses its label
    by at least this (Euclidean norm). tolerance rho: a task that explains an example misses its
    label by at most this (default delta / 4: labels are floats). radius R: bounds the norm of every
    label and of W_i phi(x) + b_i for every task i and every input x, whatever its slot.
    weight_norm, bias_norm: bound the spectral norm of every W_i and the norm of every b_i.
    feature_norm, feature_bias_norm: the same of the feature map's B and c (1 and 0 when phi is the
    identity). input_radius: bounds the norm of every input x, after the sum slot is filled.
    Default: whatever the dtype's rounding leaves room for (`construct.theorem1.gains`); a tighter
    value gives tighter error bounds, and sharper limits: a residual up to rho, plus what rounding
    may take, counts as explained. coldness T: the least score gap by which a head prefers its
    winners. Default: derived from the dtype, so that the softmax is hard. dtype: 'float32' or
    'float64'. sum_slot: slot n-2 is filled with the sum of the example's other inputs. L, fallback:
    of Theorem 4 alone (`construct.theorem4.spec_of`): the words of an answer, so that the n tokens
    of a line are n - 1 - L inputs, an arrow and L words; and whether a prefix that no task says is
    answered by the prior, m_i/M, instead of by nothing.

    Raises ValueError that names the parameter, its value, the requirement and the way out. Source:
    the parameters of Theorem 1 (Xiong et al. 2024) are K, d, m and n; the others make it executable
    (ours).
    """

    K: int
    d: int
    m: int
    n: int
    margin: float
    radius: float
    weight_norm: float
    bias_norm: float = 0.0
    features: int = 0
    feature_norm: float = 1.0
    feature_bias_norm: float = 0.0
    tolerance: float = DERIVED
    input_radius: float | None = None
    coldness: float | None = None
    dtype: str = "float32"
    sum_slot: bool = False
    L: int = 1
    fallback: bool = False

    def __post_init__(self) -> None:
        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        put("K", checks.integer("K", self.K, 1, "pass at least one task"))
        put("d", checks.integer("d", self.d, 1, "vectors have at least one coordinate"))
        put("m", checks.integer("m", self.m, 1, "allow at least one example"))
        put("n", checks.integer("n", self.n, 2, "an example is at least one input and its label"))
        put("L", checks.integer("L", self.L, 1, "an answer is at least one word"))
        put("features", checks.integer("features", self.features, 0, "0 means the identity"))
        put(
            "margin",
            checks.real(
                "margin", self.margin, "pass delta > 0, or none can tell tasks apart", strict=True
            ),
        )
        put(
            "radius",
            checks.real("radius", self.radius, "pass a bound on the labels' norms", strict=True),
        )
        for name in ("weight_norm", "bias_norm", "feature_norm", "feature_bias_norm"):
            put(
                name,
                checks.real(
                    name, getattr(self, name), "pass the largest norm, or use Spec.of(tasks, ...)"
                ),
            )
        tolerance = self.margin / 4 if self.tolerance is None else self.tolerance
        put("tolerance", checks.real("tolerance", tolerance, "pass 0 <= rho < margin"))
        if self.tolerance >= self.margin:
            raise checks.refuse(
                "tolerance",
                self.tolerance,
                f"must be less than margin = {self.margin:g}",
                "lower it or raise the margin",
            )
        if self.K > 1 and self.margin > 2 * self.radius:
            raise checks.refuse(
                "margin",
                f"{self.margin:g}",
                f"must be at most 2 radius = {2 * self.radius:g}: no residual is longer, so no "
                "task could ever be told from another",
                "lower the margin, or raise the radius if labels are longer",
            )
        if self.input_radius is not None:
            put(
                "input_radius",
                checks.real(
                    "input_radius",
                    self.input_radius,
                    "pass a bound on the inputs' norms",
                    strict=True,
                ),
            )
        if self.coldness is not None:
            put(
                "coldness",
                checks.real("coldness", self.coldness, "pass T > 0 or leave it out", strict=True),
            )
        put("dtype", _dtype(self.dtype))
        for name in ("sum_slot", "fallback"):
            value = getattr(self, name)
            if not isinstance(value, (bool, np.bool_)):
                raise checks.refuse(name, repr(value), "must be True or False", "pass a bool")
            put(name, bool(value))
        if self.sum_slot and self.n < 3:
            raise checks.refuse(
                "n",
                self.n,
                "a sum slot needs n >= 3: an input, the sum, the label",
                "raise n or drop sum_slot",
            )
        if not self.features and (self.feature_norm, self.feature_bias_norm) != (1.0, 0.0):
            raise checks.refuse(
                "feature_norm, feature_bias_norm",
                (self.feature_norm, self.feature_bias_norm),
                "must be 1 and 0 when features = 0: phi is the identity",
                "leave them out",
            )

    @classmethod
    def of(
        cls,
        tasks: Sequence[Task],
        *,
        m: int,
        n: int,
        margin: float,
        radius: float,
        feature_map: FeatureMap | None = None,
        **more: Any,
    ) -> "Spec":
        """The Spec of these tasks: K, d, features and the norms are read off them; `more` is passed
        on.

        Raises ValueError as `Spec` does, and when the tasks do not fit together (shapes, slots,
        duplicates).
        """
        tasks = list(tasks)
        n = checks.integer("n", n, 2, "an example is at least one input and its label")
        check_family(tasks, n, feature_map)
        features = (
            {}
            if feature_map is None
            else {
                "features": feature_map.features,
                "feature_norm": feature_map.weight_norm,
                "feature_bias_norm": feature_map.bias_norm,
            }
        )
        return cls(
            K=len(tasks),
            d=len(tasks[0].weight),
            m=m,
            n=n,
            margin=margin,
            radius=radius,
            weight_norm=max(task.weight_norm for task in tasks),
            bias_norm=max(task.bias_norm for task in tasks),
            **features,
            **more,
        )

    @property
    def r(self) -> int:
        """The number of features that a task's matrix reads: `features`, or d when phi is the
        identity."""
        return self.features or self.d

    @property
    def example_bits(self) -> int:
        """Bits of an example's index; the query is index m, hence ceil(log2(m + 1))."""
        return self.m.bit_length()

    @property
    def slot_bits(self) -> int:
        """Bits of a slot's index: ceil(log2 n)."""
        return (self.n - 1).bit_length()

    @property
    def tokens(self) -> int:
        """The longest prompt: BOS, m examples and the query, N = 1 + (m + 1) n."""
        return 1 + (self.m + 1) * self.n

    def check_tasks(self, tasks: Sequence[Task], feature_map: FeatureMap | None) -> None:
        """Refuse tasks that this Spec does not describe: their number, shapes or norms."""
        for name, default in (("L", 1), ("fallback", False)):
            if getattr(self, name) != default:
                raise checks.refuse(
                    f"spec.{name}",
                    getattr(self, name),
                    "is of Theorem 4 alone, whose answers have several words",
                    "leave it out, or use construct.theorem4",
                )
        check_family(tasks, self.n, feature_map)
        actual = Spec.of(
            tasks,
            m=self.m,
            n=self.n,
            margin=self.margin,
            radius=self.radius,
            feature_map=feature_map,
        )
        for name in ("K", "d", "features"):
            if getattr(actual, name) != getattr(self, name):
                raise checks.refuse(
                    f"spec.{name}",
                    getattr(self, name),
                    f"must be {getattr(actual, name)}, as the tasks have it",
                    "use Spec.of(tasks, ...)",
                )
        for name in ("weight_norm", "bias_norm", "feature_norm", "feature_bias_norm"):
            # The tasks' norms are rounded outward; a bound that is exactly right must pass.
            if getattr(actual, name) > getattr(self, name) * (
                1 + 4 * (self.d + self.r) * float(np.finfo(float).eps)
            ):
                raise checks.refuse(
                    f"spec.{name}",
                    getattr(self, name),
                    f"must be at least {getattr(actual, name):.6g}, the tasks' own",
                    "use Spec.of(tasks, ...)",
                )


def _dtype(value: Any) -> str:
    try:
        name = "None" if value is None else np.dtype(value).name
    except TypeError:
        name = str(value)
    if name not in DTYPES:
        raise checks.refuse(
            "dtype",
            name,
            f"must be one of {', '.join(DTYPES)}",
            "the gains and bounds are derived for these",
        )
    return name
