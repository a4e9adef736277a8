"""Many small arrays as one: what a call hands to the device costs time by the array.

A plan holds some hundred arrays, most of them a few numbers. Joined they are one vector, cut apart
again where the compiled program begins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from construct.evaluate.blocks import Leaf

# An array of more entries stays by itself: cutting it out would cost more than handing it over.
SMALL = 1 << 9

Shape = tuple[int, ...]


class Form:
    """How a tree of arrays was joined: its structure, and by leaf the shape, None where the leaf
    stayed by itself. Equal forms are one compiled program."""

    def __init__(self, tree: Any, shapes: tuple[Shape | None, ...]) -> None:
        self.tree, self.shapes = tree, shapes
        # What a program that was traced for this form notes of itself.
        self.notes: dict[Any, Any] = {}
        self._hash = hash((tree, shapes))  # once, and not in every call

    @classmethod
    def of(cls, tree: Any, shapes: tuple[Shape | None, ...]) -> "Form":
        """The one form of its kind, so that comparing two in each call mostly is asking whether
        they are the same object."""
        form = cls(tree, shapes)
        return _known.setdefault(form, form)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Form) and (self.tree, self.shapes) == (other.tree, other.shapes)


_known: dict[Form, Form] = {}


@partial(jax.tree_util.register_dataclass, data_fields=["flat", "others"], meta_fields=["form"])
@dataclass(frozen=True)
class Joined:
    """A tree of arrays as one vector of all small ones, and the others."""

    flat: Leaf
    others: list[Leaf]
    form: Form

    def split(self) -> Any:
        """The tree, to be asked for inside a compiled program."""
        others, start, leaves = iter(self.others), 0, []
        for shape in self.form.shapes:
            if shape is None:
                leaves.append(next(others))
                continue
            size = int(np.prod(shape))
            leaves.append(self.flat[start : start + size].reshape(shape))
            start += size
        return jax.tree.unflatten(self.form.tree, leaves)


def join(tree: Any, dtype: str) -> Joined:
    """A tree of arrays, on the device; those of another dtype stay by themselves."""
    leaves, structure = jax.tree.flatten(tree)
    hosts = [np.asarray(leaf) for leaf in leaves]
    small = [host.dtype == dtype and host.size <= SMALL for host in hosts]
    shapes = tuple(host.shape if one else None for host, one in zip(hosts, small, strict=True))
    flat = [host.ravel() for host, one in zip(hosts, small, strict=True) if one]
    others = [jax.device_put(leaf) for leaf, one in zip(leaves, small, strict=True) if not one]
    return Joined(
        jax.device_put(np.concatenate([np.zeros(0, dtype), *flat])),
        others,
        Form.of(structure, shapes),
    )


def flattened(leaves: Sequence[Any], dtype: Any) -> Any:
    """Arrays as one vector, inside a compiled program."""
    return jnp.concatenate([jnp.ravel(leaf).astype(dtype) for leaf in leaves])
