"""The recipe of the starter appearance flow."""
