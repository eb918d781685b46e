"""What the operator sees while the studio starts, runs and stops."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


class Progress:
    """One line a step with its seconds; a spinner meanwhile when there is a terminal."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._said = 0.0

    def say(self, text: str, style: str | None = None) -> None:
        """One plain line, whatever brackets are in it."""
        self._console.print(text, style=style, markup=False)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Says how long the block took; says nothing when it fails, the error does."""
        start = time.monotonic()
        with self._console.status(name):
            yield
        self.say(f"  {name:<46}{time.monotonic() - start:6.1f} s")

    def count(self, done: int, total: int, what: str) -> None:
        """Called often: says a line every few seconds and at the end."""
        now = time.monotonic()
        if done >= total or now - self._said > 3:
            self._said = now
            self.say(f"    {done} of {total} {what}")
