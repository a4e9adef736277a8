"""Tests of Theorem 3."""
