"""Measurements, one question a file. Speed is measured here and nowhere in the tests."""
