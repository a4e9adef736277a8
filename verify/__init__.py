"""Independent checks: an oracle from the definition alone, and commands that hold the transformer
against it."""
