"""The catalogue: products, one by one or by import."""
