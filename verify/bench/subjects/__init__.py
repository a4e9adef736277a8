"""The subjects, a file a kind. A new one is a file and a line in this list."""

from collections.abc import Callable

from verify.bench.subject import Subject


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


def _smollm2() -> Subject:
    from verify.bench.subjects.smollm2 import SmolLM2

    return SmolLM2()


def openers() -> dict[str, Callable[[], Subject]]:
    """By name, what opens a subject."""
    from verify.train.runs import ALL as RUNS

    return {
        "theorem1": _constructed(1),
        "theorem3": _constructed(3),
        "theorem1-float32": _constructed(1, "float32"),
        "theorem3-float32": _constructed(3, "float32"),
        **{name: _trained(name) for name in RUNS},
        "smollm2": _smollm2,
    }


def open_subject(name: str) -> Subject:
    """A subject by name. Raises ValueError for an unknown one, or one that is not there."""
    known = openers()
    if name not in known:
        raise ValueError(f"subject {name!r} is unknown; known are {', '.join(known)}")
    return known[name]()
