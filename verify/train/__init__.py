"""Small decoders trained from scratch, one task a prompt: `python -m verify.train`."""
