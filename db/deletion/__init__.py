"""Queries of deletion and retention."""
