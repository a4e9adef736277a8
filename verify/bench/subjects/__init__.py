"""The subjects, a file a kind. A new one is a file and a line in this list."""

from collections.abc import Callable
from typing import Any

from verify.bench.subject import Subject, Writer


def _constructed(number: int, dtype: str = "float64") -> Callable[[], Subject]:
    def opened() -> Subject:
        from verify.bench.subjects.constructed import Constructed

        return Constructed(number, dtype)

    return opened


def _trained(run: str) -> Callable[[], Subject]:
    def opened() -> Subject:
        from verify.bench.subjects.trained import trained

        return trained(run)

    return opened


def _from_noise(run: str) -> Callable[[], Subject]:
    def opened() -> Subject:
        from verify.bench.subjects.noise import from_noise

        return from_noise(run)

    return opened


def _theorem4() -> Writer:
    from verify.bench.subjects.words import Words

    return Words()


def _smollm2() -> Subject:
    from verify.bench.subjects.smollm2 import SmolLM2

    return SmolLM2()


def openers() -> dict[str, Callable[[], Any]]:
    """By name, what opens a subject."""
    from verify.train.runs import ALL as RUNS
    from verify.train.runs import FROM_NOISE

    return {
        "theorem1": _constructed(1),
        "theorem3": _constructed(3),
        "theorem1-float32": _constructed(1, "float32"),
        "theorem3-float32": _constructed(3, "float32"),
        "theorem4": _theorem4,
        **{name: _trained(name) for name in RUNS},
        **{name: _from_noise(name) for name in FROM_NOISE},
        "smollm2": _smollm2,
    }


def open_subject(name: str) -> Any:
    """A subject by name: a `Subject`, or `theorem4`, which is a `Writer` alone. Raises ValueError
    for an unknown one, or one that is not there."""
    known = openers()
    if name not in known:
        raise ValueError(f"subject {name!r} is unknown; known are {', '.join(known)}")
    return known[name]()
