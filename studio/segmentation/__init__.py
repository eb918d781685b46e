"""Masks of garments and people."""
