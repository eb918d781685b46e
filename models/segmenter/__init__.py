"""Masks of people and garments: the human parser and SAM."""
