"""Checkpoints on the nodes of a cluster: fetched, verified and run once."""
