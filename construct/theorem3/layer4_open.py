"""Layer 4, Open: the answer token adds outputs by the gates of slope eps. Realizes Lemma 4.

    score(k)    = P (<code(m), e_k> + <code(p_i), s_k> - L) + eps (w_i - 1/2)_q inp_k
                                                                    for k other than BOS
    BOS         : (2T + eps) (one - qry + inp)_q
    value       = c_2 (W_i x + b_i inp) -> y

The head is that of `construct.theorem3.perform`, with the series' gate 1 (counted from 0).
"""

from construct.layers import LayerWeights
from construct.residual import Residual
from construct.spec import Spec
from construct.tasks import Task
from construct.theorem3.gains import Gains
from construct.theorem3.perform import perform


def layer(spec: Spec, gains: Gains, residual: Residual, tasks: list[Task]) -> LayerWeights:
    """The weights of Open."""
    return perform("open", 1, spec, gains, residual, tasks)
