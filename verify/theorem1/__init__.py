"""Verification of Theorem 1: `python -m verify.theorem1 --K 4 --d 16`."""
