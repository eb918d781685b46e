"""The index: speed, recall, building."""
