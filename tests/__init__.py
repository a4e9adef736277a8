"""The test suite: properties first, each with a test in which its check fails."""
