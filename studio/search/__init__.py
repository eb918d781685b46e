"""Searches and their log."""
