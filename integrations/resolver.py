"""Resolves host names in threads of its own, with a time limit, a few at a time for each caller.

The system's resolver can't be interrupted. A look-up that has timed out occupies its thread until
the resolver gives up (about half a minute), and counts for its caller until then.
"""

import asyncio
import socket
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor

from errors import RateLimited, Unavailable, UpstreamFailed
from integrations.fair_semaphore import FairSemaphore

RESOLVE_S = 3.0
THREADS = 32
MAX_PER_CALLER = 4
MAX_PER_NETWORK = 8

LookUp = Callable[[str, int], list[str]]


class LookUpsBusy(RateLimited):
    """Too many earlier look-ups of the caller have no answer yet."""

    retry_after_s = 10


def caller_busy() -> LookUpsBusy:
    """The error if the caller has too many look-ups."""
    return LookUpsBusy("the hosts of your earlier pictures are still being looked up")


def all_busy() -> Unavailable:
    """The error if all threads are occupied."""
    return Unavailable("too many picture hosts are being looked up")


def look_up(host: str, port: int) -> list[str]:
    """All addresses of a name, IPv4 and IPv6."""
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in entries]


class NameResolver:
    """Resolves names for callers, each of whom can occupy only a few threads."""

    def __init__(self, look_up: LookUp = look_up, *, threads: int = THREADS) -> None:
        self._look_up = look_up
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="resolver")
        self._shares = FairSemaphore(
            places=threads,
            per_owner=MAX_PER_CALLER,
            per_network=MAX_PER_NETWORK,
            busy=caller_busy,
            full=all_busy,
        )

    async def resolve(self, host: str, port: int, caller: Hashable) -> list[str]:
        """All addresses of a name.

        Raises:
            OSError: there is no such name.
            UpstreamFailed: the name servers gave no answer in time.
            RateLimited, Unavailable: look-ups occupy the caller's share of threads, or all.
        """
        await self._shares.enter(caller)
        future = asyncio.get_running_loop().run_in_executor(self._pool, self._look_up, host, port)
        future.add_done_callback(lambda ended: self._end(ended, caller))
        try:
            async with asyncio.timeout(RESOLVE_S):
                return await asyncio.shield(future)
        except TimeoutError:
            raise UpstreamFailed("the picture's host could not be looked up in time") from None

    def _end(self, ended: "asyncio.Future[list[str]]", caller: Hashable) -> None:
        if not ended.cancelled():
            ended.exception()  # nobody may be waiting for it any more
        self._shares.leave(caller)

    def close(self) -> None:
        """Accepts no more look-ups; running ones end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)
