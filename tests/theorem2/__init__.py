"""Tests of Theorem 2."""
