"""Faults in the weights and in the bounds, and the verification that must reject them: `python -m
tests.mutants`."""
