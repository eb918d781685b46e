"""Answers of an index: which rows belong to one, their order, their pages and their counts."""
