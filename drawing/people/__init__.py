"""Drawn people, dressed."""
