"""The recipe of the starter SAM."""
