"""The recipe of the starter parser."""
