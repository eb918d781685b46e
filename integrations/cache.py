"""The cache in Valkey or Redis, with short timeouts and one error for all failures."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import RedisError

from errors import Unavailable
from integrations.windows import SCRIPT, QuotaUse, WindowState, read_windows

PREFIX = "studio:"
TIMEOUT_S = 0.5
REPLACE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""
DISCARD = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""


@asynccontextmanager
async def raising_unavailable() -> AsyncIterator[None]:
    """Turns the client's errors into Unavailable, and raises a cancellation that the client loses.

    The client sends by `asyncio.wait_for`. On Python 3.11 this returns as if nothing had happened
    where a cancellation reaches it just after the end of its work (cpython issue 86296), so a
    deadline would bound nothing any more, and a task that repeats a command would never end.
    """
    task = asyncio.current_task()
    cancellations = task.cancelling() if task else 0
    failure: Exception | None = None
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        failure = error
    if task is not None and task.cancelling() > cancellations:
        raise asyncio.CancelledError from failure
    if failure is not None:
        raise Unavailable("the cache does not answer") from failure


class PresentCredentials(CredentialProvider):
    """The user and password of the present URL, for every new connection."""

    def __init__(self, url: Callable[[], str]) -> None:
        """Reads nothing yet."""
        self._url = url

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """The password, after the user's name if there is one."""
        parts = urlsplit(self._url())
        password = unquote(parts.password or "")
        return (unquote(parts.username), password) if parts.username else (password,)


def split_credentials(url: str | Callable[[], str]) -> tuple[str, dict[str, Any]]:
    """The URL to connect to, and the options of the client that supply its password."""
    if not callable(url):
        return url, {}
    parts = urlsplit(url())
    if not parts.password:
        return url(), {}
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return address, {"credential_provider": PresentCredentials(url)}


class RedisCache:
    """The client of Valkey or Redis; every key begins with `studio:` and expires."""

    def __init__(self, url: str | Callable[[], str]) -> None:
        """`url`: a function gives the present URL, whose password new connections use."""
        address, options = split_credentials(url)
        self._client = Redis.from_url(
            address,
            **options,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            health_check_interval=15,
            # One more try: a pooled connection may have died with a restarted server.
            retry=Retry(ConstantBackoff(0.02), 1),
        )
        self._windows = self._client.register_script(SCRIPT)
        self._replace = self._client.register_script(REPLACE)
        self._discard = self._client.register_script(DISCARD)

    async def get(self, key: str) -> bytes | None:
        """The value; None if there is none, or it has expired."""
        async with raising_unavailable():
            return cast("bytes | None", await self._client.get(PREFIX + key))

    async def set(self, key: str, value: bytes, *, lifetime_s: int) -> None:
        """Writes or replaces a value."""
        async with raising_unavailable():
            await self._client.set(PREFIX + key, value, ex=lifetime_s)

    async def add(self, key: str, value: bytes, *, lifetime_s: int) -> bool:
        """Writes a value if the key has none. Returns False if it has one."""
        async with raising_unavailable():
            return bool(await self._client.set(PREFIX + key, value, ex=lifetime_s, nx=True))

    async def replace(self, key: str, expected: bytes, value: bytes, *, lifetime_s: int) -> bool:
        """Replaces the expected value. Returns False if the key has another one, or none."""
        async with raising_unavailable():
            return bool(await self._replace([PREFIX + key], [expected, value, lifetime_s]))

    async def discard(self, key: str, expected: bytes) -> bool:
        """Deletes the expected value. Returns False if the key has another one, or none."""
        async with raising_unavailable():
            return bool(await self._discard([PREFIX + key], [expected]))

    async def remaining_s(self, key: str) -> float:
        """The time until the key expires; 0 if it has no value."""
        async with raising_unavailable():
            return max(0, int(await self._client.pttl(PREFIX + key))) / 1000

    async def increment(self, key: str, by: int, *, lifetime_s: int) -> int:
        """Adds to a counter atomically and restarts its lifetime. Returns the new count."""
        async with raising_unavailable(), self._client.pipeline(transaction=True) as pipeline:
            pipeline.incrby(PREFIX + key, by)
            pipeline.expire(PREFIX + key, lifetime_s)
            count, _ = await pipeline.execute()
            return int(count)

    async def take(self, key: str) -> bytes | None:
        """Deletes the key and returns its value; of several concurrent callers, one gets it."""
        async with raising_unavailable():
            return cast("bytes | None", await self._client.getdel(PREFIX + key))

    async def delete(self, key: str) -> None:
        """Deletes the key; does nothing if it has no value."""
        async with raising_unavailable():
            await self._client.delete(PREFIX + key)

    async def add_counts(self, counts: Mapping[str, Mapping[str, int]], *, lifetime_s: int) -> None:
        """Adds to the counters of each key, by field, in one transaction."""
        async with raising_unavailable(), self._client.pipeline(transaction=True) as pipe:
            for key, fields in counts.items():
                for name, count in fields.items():
                    pipe.hincrby(PREFIX + key, name, count)
                pipe.expire(PREFIX + key, lifetime_s)
            await pipe.execute()

    async def read_counts(self, keys: Sequence[str]) -> list[dict[str, int]]:
        """The counters of each key, by field."""
        async with raising_unavailable(), self._client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.hgetall(PREFIX + key)
            hashes = await pipe.execute()
        return [{name.decode(): int(count) for name, count in fields.items()} for fields in hashes]

    async def count_in_windows(
        self, uses: Sequence[QuotaUse], *, window_ms: int
    ) -> list[WindowState]:
        """Counts requests in their callers' sliding windows, in order."""
        keys = [f"{PREFIX}limit:{use.key}" for use in uses]
        async with raising_unavailable():
            numbers = await self._windows(keys, [window_ms, *(use.quota for use in uses)])
        return list(read_windows(numbers))

    async def eviction(self) -> tuple[str, int]:
        """The server's `maxmemory-policy`, and its limit of memory in bytes; 0 is no limit."""
        async with raising_unavailable():
            memory = await self._client.info("memory")
        return str(memory.get("maxmemory_policy", "unknown")), int(memory.get("maxmemory", 0))

    async def check(self) -> None:
        """Pings the server.

        Raises:
            Unavailable: it does not answer.
        """
        async with raising_unavailable():
            await self._client.ping()

    async def aclose(self) -> None:
        """Closes every pooled connection."""
        await self._client.aclose()
