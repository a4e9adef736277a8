"""Lemma 4 (Open). Layer 4 adds c_2 sigma(eps (w_i - 1/2)) g_i(X) for every task i at the answer
token.

Hypotheses and bound: as in Lemma 3; the gate's two winners are eps |w_i - 1/2| apart.
"""

from construct.spec import Spec
from proofs.selection import Errors, Setting
from proofs.theorem3.perform import add_gate


def near(spec: Spec) -> int:
    """None: the two winners are BOS and the query's token."""
    return 0


def lemma(setting: Setting, before: Errors) -> Errors:
    """The errors after Open."""
    return add_gate(setting, before, 1)
