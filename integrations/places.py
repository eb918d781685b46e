"""So many at once under each name, a few more that wait, and a refusal for the rest."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from errors import StudioError


@dataclass
class _Line:
    """The places of one name, and how many hold one or wait."""

    free: asyncio.Semaphore
    users: int = field(default=0)


class Places:
    """Bounds what one caller, host or process does side by side.

    most: places under each name. waiting: how many more may wait for one, for `wait_s` at most.
    refuse: makes the error for those who get none.
    """

    def __init__(
        self, most: int, *, waiting: int, wait_s: float, refuse: Callable[[], StudioError]
    ) -> None:
        self._most = most
        self._waiting = waiting
        self._wait_s = wait_s
        self._refuse = refuse
        self._lines: dict[str, _Line] = {}

    @asynccontextmanager
    async def take(self, name: str) -> AsyncIterator[None]:
        """Holds a place for the block.

        Raises:
            StudioError: what `refuse` makes: none became free in time, or too many wait already.
        """
        line = self._lines.setdefault(name, _Line(asyncio.Semaphore(self._most)))
        if line.users >= self._most + self._waiting:
            raise self._refuse()
        line.users += 1
        try:
            await self._acquire(line)
            try:
                yield
            finally:
                line.free.release()
        finally:
            line.users -= 1
            if not line.users:
                self._lines.pop(name, None)

    async def _acquire(self, line: _Line) -> None:
        try:
            async with asyncio.timeout(self._wait_s):
                await line.free.acquire()
        except TimeoutError:
            raise self._refuse() from None

    def __len__(self) -> int:
        """Names under which anybody holds or wants a place."""
        return len(self._lines)
