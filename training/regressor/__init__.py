"""The recipe of the starter regressor."""
