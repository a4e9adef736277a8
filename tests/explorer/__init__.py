"""Tests of the explorer: what its data say of the traces, and what its page shows of the data."""
