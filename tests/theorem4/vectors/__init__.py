"""Tests of Theorem 4 on unit vectors."""
