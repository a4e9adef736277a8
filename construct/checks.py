"""Validation at the edge: each check returns the checked value or raises one ValueError that says
what to do.

A message names the argument, its value, what is required of it, and the way out.
"""

import importlib
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from construct.floats import DTYPES

LARGEST_INDEX = 2**31 - 1

# The default of a field that its class fills in when it is left out: None, whatever its type.
DERIVED: Any = None


def refuse(argument: str, value: object, requirement: str, way_out: str) -> ValueError:
    """The one error format of this package; the caller raises what this returns."""
    return ValueError(f"{argument} = {value}: {requirement}; {way_out}")


def instance(argument: str, value: Any, kind: type, way_out: str) -> None:
    """Refuse a value that is not of this class."""
    if not isinstance(value, kind):
        raise refuse(argument, f"{value!r:.40}", f"must be a {kind.__name__}", way_out)


def integer(argument: str, value: Any, minimum: int, way_out: str) -> int:
    """`value` as an int that is at least `minimum`; floats, bools and strings are refused."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise refuse(argument, repr(value), "must be a whole number", f"pass an int >= {minimum}")
    if value < minimum:
        raise refuse(argument, value, f"must be at least {minimum}", way_out)
    if value > LARGEST_INDEX:
        raise refuse(
            argument,
            f"{value:.3g}" if value < 10**300 else "a huge number",
            f"must be at most {LARGEST_INDEX}",
            "JAX indexes with 32 bits",
        )
    return int(value)


def real(
    argument: str, value: Any, way_out: str, *, minimum: float = 0.0, strict: bool = False
) -> float:
    """`value` as a finite float at or (strict) above `minimum`."""
    try:
        if isinstance(value, (bool, np.bool_, str)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise refuse(
            argument, f"{value!r:.40}", "must be a real number that a float can hold", way_out
        ) from None
    if not math.isfinite(number):
        raise refuse(argument, value, "must be finite", way_out)
    if number < minimum or (strict and number == minimum):
        raise refuse(
            argument,
            value,
            f"must be {'greater than' if strict else 'at least'} {minimum:g}",
            way_out,
        )
    return number


def numbers(argument: str, value: Any) -> np.ndarray:
    """`value` as an array of real numbers in one of the Specs' formats: as it is, or in float64,
    since in shorter floats its squares would round or overflow. Raises ValueError for what is no
    array of real numbers, or is masked or traced."""
    if np.ma.is_masked(value):
        raise refuse(
            argument,
            "a masked array",
            "must have all its entries",
            "drop what is masked, or fill it in",
        )
    try:
        array = np.asarray(value)
    except jax.errors.TracerArrayConversionError:
        raise refuse(
            argument,
            "a traced array",
            "must hold numbers where hypotheses are checked",
            "under jit, vmap and grad use model.embed and model.forward",
        ) from None
    except ValueError:
        raise refuse(
            argument, "a ragged sequence", "must be one array", "pad it or split it"
        ) from None
    if array.dtype.kind not in "fiuV" or (
        array.dtype.kind == "V" and "float" not in array.dtype.name
    ):
        raise refuse(
            argument,
            f"an array of {array.dtype}",
            "must hold real numbers",
            "convert it with .astype(float)",
        )
    return array if array.dtype.name in DTYPES else array.astype(np.float64)


def floats(argument: str, value: Any, axes: Sequence[str]) -> np.ndarray:
    """`value` as a finite, read-only float64 array with the named axes.

    Integers are converted on purpose: a count or a one-hot vector is exact in float64. Booleans,
    complex numbers, strings and objects are refused, since no conversion of those is surely what
    was meant.
    """
    shape = f"({', '.join(axes)})"
    array = numbers(argument, value)
    if array.ndim != len(axes):
        raise refuse(
            argument,
            f"an array of shape {array.shape}",
            f"must have shape {shape}",
            f"reshape it to {len(axes)} axes",
        )
    array = np.array(array, dtype=np.float64)
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise refuse(
            f"{argument}{list(where)}",
            array[where],
            "must be finite",
            "remove NaN and infinity first",
        )
    array.setflags(write=False)
    return array


def shape(argument: str, array: np.ndarray | Array, expected: Sequence[int], meaning: str) -> None:
    """Refuse an array whose shape is not `expected`; `meaning` spells the axes, such as '(m, n-1,
    d)'."""
    if array.shape != tuple(expected):
        raise refuse(
            argument,
            f"an array of shape {array.shape}",
            f"must have shape {tuple(expected)} = {meaning}",
            "make the shapes agree",
        )


def trailing(
    argument: str, array: np.ndarray | Array, expected: Sequence[int], meaning: str
) -> None:
    """Refuse an array whose last axes are not `expected`, which `meaning` spells."""
    if array.shape[-len(expected) :] != tuple(expected):
        raise refuse(
            argument,
            f"an array of shape {array.shape}",
            f"its last axes must be {tuple(expected)} = {meaning}",
            "make the shapes agree",
        )


def function(argument: str, value: Any) -> None:
    """Refuse what is neither None nor a function."""
    if value is not None and not callable(value):
        raise refuse(argument, f"{value!r:.40}", "must be a function", "pass a callable, or none")


def package(module: str, name: str, extra: str) -> Any:
    """A module of an optional package, imported when it is needed. Raises ValueError where the
    package is missing."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise refuse(
            "package",
            name,
            "is needed for this, and is not installed",
            f"pip install 'superposed-tasks[{extra}]'",
        ) from None
