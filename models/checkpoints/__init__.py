"""Checkpoints: where weights come from, which are known, and their pins."""
