"""Networks at production's size."""
