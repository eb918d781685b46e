"""The real servers that a fresh machine gets, and the studio's start and end on it."""
