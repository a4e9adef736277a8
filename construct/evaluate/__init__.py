"""Evaluators: ways to run a stack of layers on a prompt and read what its theorem reads of it.

`dense` scores all pairs of tokens and knows nothing of what the heads are for; `record` is a dense
run that keeps every stream, of small layers as one program for all of them (`alike`), `bf16` one
that multiplies bfloat16 numbers. `reference` runs the dense layers on the few tokens that the
layers' declared supports allow (`supports`): a page to read.

The restricted evaluator is that idea at speed, in time and memory linear in the tokens:

- `certificate` and `bounds` show from the weights and the Spec that no token attends outside the
  support, or say what is in the way, and then only `dense` answers;
- `plan` and `blocks` cut the stored weights at the subspaces of the stream;
- `attention` and `screening` score, weigh and move on the support alone;
- `program` runs the layers on those tokens that the answer depends on, and `chunk` does so for some
  of the examples, with the theorem's hypotheses checked on the way;
- `prepared` is what all of that needs of a model, made once;
- `streaming` takes examples from any iterable, on one device or, by `sharding`, on a `mesh`.
"""
