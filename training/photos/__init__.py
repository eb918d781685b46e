"""Labelled photographs, read for training."""
