"""`studio doctor` on a cluster."""
