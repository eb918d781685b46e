"""The recipes that made the weights in models/starter."""
