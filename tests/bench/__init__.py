"""The bench and its subjects."""
