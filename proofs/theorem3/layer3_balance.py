"""Lemma 3 (Balance). After layer 3 the answer token holds c_1/2 times the sum of all K outputs on
the query.

Hypotheses: W_i phi(x) + b_i has norm at most R on the query's inputs. Why: head i scores the
query's slot p_i 0, as BOS; all other keys miss a position bit and are 2T behind. Bound: K R |c_1|
(gamma/2 + 2N e^-2T) with the rounding gamma of a gate's weight, its products and sums, and K |c_1|
times the rounding of a value W_i x + b_i; `proofs.theorem3.perform` has what the three gates share.
"""

from construct.spec import Spec
from proofs.selection import Errors, Setting
from proofs.theorem3.perform import add_gate


def near(spec: Spec) -> int:
    """None: the two winners are BOS and the query's token."""
    return 0


def lemma(setting: Setting, before: Errors) -> Errors:
    """The errors after Balance."""
    return add_gate(setting, before, 0)
