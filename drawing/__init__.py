"""Procedural garments and people, and the demo shop."""
