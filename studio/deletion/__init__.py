"""Deletion: what each row and blob depends on, and when it goes."""
