"""The embedder: pictures and texts as unit vectors."""
