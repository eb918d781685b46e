"""Reads prices, colours, garments, brands, sizes, stock and negation out of a search's words."""
