"""The operator's terminal while the studio starts, runs and stops."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


class Terminal:
    """Prints one line for each step with its duration; shows a spinner while the step runs."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._count_s = 0.0

    def say(self, text: str, style: str | None = None) -> None:
        """Prints one line; brackets in the text are not read as markup."""
        self._console.print(text, style=style, markup=False)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Prints how long the block took; nothing if it fails, as the error is printed."""
        start = time.monotonic()
        with self._console.status(name):
            yield
        self.say(f"  {name:<46}{time.monotonic() - start:6.1f} s")

    def count(self, done: int, total: int, what: str) -> None:
        """Prints progress, at most every few seconds and at the end."""
        now = time.monotonic()
        if done >= total or now - self._count_s > 3:
            self._count_s = now
            self.say(f"    {done} of {total} {what}")
