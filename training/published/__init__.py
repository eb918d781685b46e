"""Checkpoints in the published formats with random weights, at any size."""
