"""The functions of the product, in plain async Python."""
