"""What is read of a run, and the hypotheses that are checked on it.

A theorem states once where its readings are (a `Readout`); every evaluator serves them (as
`Readings`), and the theorem's own `decode` says what each example was recognized as.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from construct import checks
from construct.gains import CommonGains
from construct.layout import LABELED, Layout
from construct.spec import Spec

# JAX arrays while a run is traced, NumPy's when it is decoded; None where nothing was read.
Leaf = Any


class Readings(NamedTuple):
    """What was read of one run.

    gap: by task and example, how far its head scores the input in its slot above BOS. output_norm:
    by task and input of the examples and, last, the query, the norm of W_i f + b_i. code, ok: of
    the labels, where the theorem has codes. posterior: over the tasks, where the theorem has one.
    prefix: by task, whether it says the words said so far, where the theorem reads that. Examples
    may be padded at the end.
    """

    vector: Leaf  # (d,)
    gap: Leaf = None  # (K, m)
    output_norm: Leaf = None  # (K, groups, slots)
    code: Leaf = None  # (m, size of the code)
    ok: Leaf = None  # (m,)
    posterior: Leaf = None  # (K,)
    prefix: Leaf = None  # (K,)


def module_of(theorem: int, version: str = "") -> str:
    """The module of construct/ that builds and assembles a theorem's transformers."""
    return f"construct.theorem{theorem}" + (f".{version}" if version else "")


def no_slack(spec: Spec, gains: Any) -> float:
    """Of a theorem that reads no output's norm."""
    return 0.0


@dataclass(frozen=True)
class Readout:
    """Where a theorem's readings are; static and hashable.

    theorem: its number. version: of Theorem 4, 'vectors' where it reads no words. layer: the one
    whose heads recognize by a residual, '' if none does. asks: the role of the tokens that ask
    there, an INPUT (of itself) or a LABEL (of its example's inputs). term: the rows of that layer's
    scores whose key side is a task's output W_i f + b_i, less the subspace `less` if there is one.
    codes: the layer after which a label holds its task code, and in which subspace; its ok is read
    beside. features: where the heads that perform the tasks find the query's features: the role of
    the tokens, and the subspace. decode(stack, labels, name, readings, enforce, first) gives the
    task of each example, -1 where it abstained; with `enforce` it raises ValueError where a
    hypothesis fails. `first` is the place of the first of these examples in the prompt.
    norm_slack(spec, gains): what an output's computed norm may exceed the radius by. always: some
    hypothesis shows in no gap and no output norm, so every example is checked one by one.
    posterior: the layer after which the last token holds the posterior over tasks, and in which
    subspace; prefix: likewise of whether each says the words said so far. layout: how prompts
    become rows. evaluators: the only ones that serve this theorem (None: all).
    """

    theorem: int
    decode: Callable[..., Int[np.ndarray, "m"]]
    version: str = ""
    layer: str = ""
    asks: str = ""
    term: str = ""
    less: str | None = None
    codes: tuple[str, str] | None = None
    features: tuple[str, str] | None = None
    norm_slack: Callable[[Spec, Any], float] = no_slack
    always: bool = False
    posterior: tuple[str, str] | None = None
    prefix: tuple[str, str] | None = None
    layout: Layout = LABELED
    evaluators: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """What the theorem is called."""
        return f"Theorem {self.theorem}" + (f" on {self.version}" if self.version else "")

    @property
    def module(self) -> str:
        """The module that builds and assembles its transformers."""
        return module_of(self.theorem, self.version)

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """The layers after which something is read."""
        places = (self.codes, self.posterior, self.prefix)
        found = (self.layer, *(place[0] for place in places if place is not None))
        return tuple(name for name in found if name)


def check_decided(
    spec: Spec, gains: CommonGains, name: str, gap: np.ndarray, first: int = 0
) -> None:
    """Recognize decides every residual that is at most rho or at least delta: its gap is T or more
    either way (Lemma 3)."""
    undecided = ~(np.abs(gap) >= gains.decided)
    if undecided.any():
        task, example = (int(i) for i in np.argwhere(undecided)[0])
        residual = gains.residual_norm(float(gap[task, example]))
        raise checks.refuse(
            f"{name} example {first + example}, task {task}",
            f"a residual of {residual:.6g}",
            f"must be at most tolerance = {spec.tolerance:.6g} or at least margin = "
            f"{spec.margin:.6g}",
            "move the label, or build with a tolerance and margin that leave it outside",
        )


def check_output_norms(
    spec: Spec, examples: int, name: str, norms: np.ndarray, slack: float, first: int = 0
) -> None:
    """Refuse a task whose output on any input, whatever its slot, is longer than the radius by more
    than `slack`."""
    norms = np.concatenate([norms[:, :examples], norms[:, -1:]], axis=1)
    if norms.max() > spec.radius + slack:
        task, example, slot = (int(i) for i in np.unravel_index(norms.argmax(), norms.shape))
        where = "query" if example == examples else f"example {first + example}"
        raise checks.refuse(
            f"{name} {where}, slot {slot}",
            f"task {task} has an output of norm {norms.max():.6g} there",
            f"must be at most radius = {spec.radius:.6g}, also in slots that the task does not "
            "read (Lemma 3)",
            "build with a larger radius",
        )


def residual_slack(spec: Spec, gains: Any) -> float:
    """What an output's computed norm may exceed the radius by where residuals are weighed: their
    charge for leak and rounding."""
    return gains.residual
