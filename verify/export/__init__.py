"""The command `python -m verify.export`: the theorem's transformers as checkpoints of other tools,
and checkpoints that come back held against the lemmas."""
