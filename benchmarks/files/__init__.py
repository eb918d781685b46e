"""Bounds of hostile pictures."""
