"""What the product does, in plain async Python."""
