"""plus0..plus9: (x + k) mod 10 on digits, ten tasks that all read the same slot."""

from construct.families.family import Family, matrix
from construct.tasks import Task


def plus() -> Family:
    """The ten tasks (x + k) mod 10."""
    digits = tuple("0123456789")

    def add(digit: str, k: int) -> str:
        return str((int(digit) + k) % 10)

    return Family(
        name="plus",
        vocabulary=digits,
        domain=frozenset(digits),
        functions={f"plus{k}": lambda words, k=k: add(words[0], k) for k in range(10)},
        weights=lambda words: (
            [
                Task(slot=0, weight=matrix(words, {digit: add(digit, k) for digit in digits}))
                for k in range(10)
            ],
            None,
        ),
        slots=1,
        rows=tuple((digit,) for digit in digits),
    )
