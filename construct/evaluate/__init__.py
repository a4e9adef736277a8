"""The restricted evaluator: scores, softmax and values on each layer's declared support alone, from
the stored weights.

Time and memory grow with the number of tokens and not with its square. The weights are read block
by block (`blocks`, `plan`), heads attend on the support (`attention`, `screening`), the layers run
on those tokens that the answer depends on (`program`), examples come in chunks (`streaming`).
`certificate` shows from the weights and the Spec that no token attends outside the support. The
dense pass in `construct.evaluate.dense` ignores all of this, and is the reference.
"""
