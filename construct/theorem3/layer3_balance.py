"""Layer 3, Balance: the answer token adds c_1/2 times the sum of all outputs. Realizes Lemma 3.

That is what the other two gates have in excess, since they are half open to a task of weight 1/2,
whatever their slope.

    score(k)    = P (<code(m), e_k> + <code(p_i), s_k> - L)         for k other than BOS
    BOS         : 2T (one - qry + inp)_q
    value       = c_1 (W_i x + b_i inp) -> y

The head is that of `construct.theorem3.perform`, with the series' gate 0 (counted from 0).
"""

from construct.layers import LayerWeights
from construct.residual import Residual
from construct.spec import Spec
from construct.tasks import Task
from construct.theorem3.gains import Gains
from construct.theorem3.perform import perform


def layer(spec: Spec, gains: Gains, residual: Residual, tasks: list[Task]) -> LayerWeights:
    """The weights of Balance."""
    return perform("balance", 0, spec, gains, residual, tasks)
