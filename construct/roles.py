"""Roles of tokens: which ones a prompt has, in order, and what each holds before the first layer.

One table, read by whoever lays tokens out: the embedding of a prompt, the evaluator on the
supports, its bounds, the ideal stream of the checks, and the names of tokens.
"""

from dataclasses import dataclass

BOS, INPUT, LABEL, QUERY, ANSWER = "BOS", "input", "label", "query", "answer"
EXAMPLE = "example"


@dataclass(frozen=True)
class Role:
    """One kind of token.

    group: what it is part of, BOS alone, each EXAMPLE, or the QUERY. last: it is the last of the n
    tokens of its group, and not one of the n - 1 before. flags: the coordinates that are 1 there.
    content: the subspace that holds the vector that the prompt gives it, None if it is blank.
    """

    name: str
    group: str
    last: bool
    flags: tuple[str, ...]
    content: str | None

    def slots(self, n: int) -> range:
        """Its slots in a group of n tokens."""
        return range(n - 1, n) if self.last else range(n - 1)


ROLES = {
    role.name: role
    for role in (
        Role(BOS, BOS, True, ("one", "bos"), None),
        Role(INPUT, EXAMPLE, False, ("one", "inp"), "x"),
        Role(LABEL, EXAMPLE, True, ("one", "lab"), "y"),
        Role(QUERY, QUERY, False, ("one", "inp", "qry"), "x"),
        Role(ANSWER, QUERY, True, ("one", "qry"), None),
    )
}


def roles_of(group: str) -> tuple[Role, ...]:
    """The roles of a group's tokens, in order."""
    return tuple(role for role in ROLES.values() if role.group == group)


def line_flags(S: int, L: int) -> tuple[tuple[str, ...], ...]:
    """The flags of a line's tokens by slot, in Theorem 4: S input words, an arrow (a0) and L answer
    words (a1 to aL). The query is a line that is not finished, and has no flag of its own."""
    return (*[("one", "inp")] * S, *[("one", f"a{u}") for u in range(L + 1)])


def token_names(examples: int, n: int) -> tuple[str, ...]:
    """Readable names of a prompt's tokens: BOS, x0.0 (example 0, slot 0), ..., y0, ..., query
    inputs q0, ..., answer."""
    names = ["BOS"]
    for j in range(examples):
        names += [f"x{j}.{slot}" for slot in ROLES[INPUT].slots(n)] + [f"y{j}"]
    return (*names, *(f"q{slot}" for slot in ROLES[QUERY].slots(n)), ANSWER)
