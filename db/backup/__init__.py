"""Queries of backups."""
