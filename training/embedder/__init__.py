"""The recipe of the starter embedder."""
