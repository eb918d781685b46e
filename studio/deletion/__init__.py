"""Deletion: what is derived from which row and blob, and how long everything is stored."""
