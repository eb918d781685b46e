"""Backups of rows and blobs, and their restoration."""
