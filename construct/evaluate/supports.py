"""Which keys a head can reach, by the support that its layer declares and the asking token's role.

One table. BOS is always among the keys, and is left out here. The dense evaluator asks only whether
a layer gathers; the restricted one and its certificate read all of it.
"""

from construct.layers import Support
from construct.roles import ANSWER, BOS, EXAMPLE, INPUT, LABEL, QUERY, ROLES

# The supports over which a head gathers something from every example, and from which role there.
GATHERS = {Support.LABELS: LABEL, Support.INPUTS: INPUT}

_GROUP = {BOS: (), EXAMPLE: (INPUT, LABEL), QUERY: (QUERY, ANSWER)}


def keys_of(support: Support, role: str) -> tuple[str, ...]:
    """The roles of the keys that a token of a role can attend to, without BOS. SELF: the token's
    own role, of which it sees itself alone."""
    own, query = _GROUP[ROLES[role].group], _GROUP[QUERY]
    return {
        Support.SELF: () if role == BOS else (role,),
        Support.EXAMPLE: own,
        Support.QUERY: query,
        Support.EXAMPLE_AND_QUERY: tuple(dict.fromkeys((*own, *query))),
        Support.LABELS: (LABEL,),
        Support.INPUTS: (INPUT,),
    }[support]


def visible_to(role: str) -> tuple[str, ...]:
    """The roles in a token's own group of which it sees some under a causal mask."""
    own = _GROUP[ROLES[role].group]
    return own[: own.index(role) + 1] if role in own else ()
