"""The work of operators: backup and restoration, retention, the sweep of stray blobs."""
