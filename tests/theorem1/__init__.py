"""Tests of Theorem 1, a module a layer."""
