"""Deletion: rows and blobs that are derived from others, and the retention of all data."""
