"""The explorer: one self-contained page that steps through the seven layers on a few prompts."""
