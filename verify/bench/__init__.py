"""The bench: the literature's methods on constructed, trained and pretrained transformers."""
