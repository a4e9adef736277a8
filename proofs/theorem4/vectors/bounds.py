"""What Theorem 4's lemmas on vectors share: the errors that they compose."""

from dataclasses import dataclass

from proofs.theorem4 import bounds


@dataclass(frozen=True)
class Errors(bounds.Errors):
    """As on words, but omega is summed over tasks, own and output (of y) are Euclidean norms, and w
    and g are by task. said: of what Commit's heads say."""

    said: float = 0.0
