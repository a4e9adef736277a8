"""Tests of Theorem 4."""
