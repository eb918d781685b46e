"""The person of a try-on: landmarks of the body, found in a parse map."""
