"""How long-running work of a model reports its progress."""

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called with the steps done, the steps in total and a message; an exception ends the work."""
