"""The gateway, batching and topologies."""
