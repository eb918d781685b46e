"""Formats of import files: how each is recognized, and how its rows become products."""
