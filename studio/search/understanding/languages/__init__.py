"""The words of the five languages that queries are understood in, one module a language."""
