"""Blob storage: a local folder or Azure Blob Storage."""
