"""Checkpoints: the sources of weights, the licences of published weights, and their pins."""
