"""Uploads: what is accepted, how it is checked, who may use it."""
