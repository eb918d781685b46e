"""Requests with an `Idempotency-Key`: answered once; a repetition gets the same answer."""

import asyncio
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from db.engine import Database
from db.receipts import get_receipt
from db.tables import SegmentationResult, TryonJob
from errors import Conflict, Unavailable
from integrations.cache import RedisCache

WORKING_S = 30
"""Lifetime of a lock whose worker has died; a live worker renews its lock."""
POLL_S = 0.1
POLLS = 50

Answer = dict[str, Any]
Find = Callable[[], Awaitable[Answer | None]]
Make = Callable[[], Awaitable[Answer]]


class Overtaken(Conflict):
    """Another worker has answered the same request and stored the receipt."""


@dataclass(frozen=True)
class KeyedRequest:
    """A request with an `Idempotency-Key`; the row that it creates stores the receipt."""

    key: str
    fingerprint: str

    def columns(self, answer: Answer) -> dict[str, Any]:
        """The columns of that row which hold the key and the receipt."""
        return {"idempotency_key": self.key, "receipt": receipt(self.fingerprint, answer)}


def receipt(request_fingerprint: str, answer: Answer) -> dict[str, Any]:
    """The stored form of an answered request: its fingerprint and the answer."""
    return {"fingerprint": request_fingerprint, "answer": answer}


def read_receipt(stored: dict[str, Any] | None, request_fingerprint: str) -> Answer | None:
    """Returns the stored answer to this request; None where nothing is stored.

    Raises:
        Conflict: the receipt belongs to another request.
    """
    if stored is None:
        return None
    if stored["fingerprint"] != request_fingerprint:
        raise Conflict("this Idempotency-Key was used with another request")
    return dict(stored["answer"])


async def work_once(cache: RedisCache, name: str, find: Find, make: Make) -> Answer:
    """Returns the answer that `find` reads; if there is none, calls `make`.

    `name` identifies the caller, the kind of request and the key. `make` stores the receipt that
    `find` reads, or raises `Overtaken` where another worker has stored one. The lock in the cache
    only keeps two workers from doing the same work at the same time: if it is lost, work is
    repeated, but no request gets two different answers.

    Raises:
        Conflict: the key was used with another request, or this one is still being answered.
        Unavailable: the cache can't be reached.
    """
    if (answer := await find()) is not None:
        return answer
    key, owner = f"working:{_digest(name)}", secrets.token_bytes(16)
    for _ in range(POLLS):
        if await cache.add(key, owner, lifetime_s=WORKING_S):
            async with hold_lock(cache, key, owner):
                return await _find_or_make(find, make)
        await asyncio.sleep(POLL_S)
    raise Conflict("a request with this Idempotency-Key is still being answered")


async def _find_or_make(find: Find, make: Make) -> Answer:
    """Looks again first: the previous holder of the lock may have stored an answer."""
    if (answer := await find()) is not None:
        return answer
    try:
        return await make()
    except Overtaken:
        if (answer := await find()) is None:
            raise
        return answer


@asynccontextmanager
async def hold_lock(cache: RedisCache, key: str, owner: bytes) -> AsyncIterator[None]:
    """Renews the lock while the block runs and releases it after; another owner's lock stays."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(WORKING_S / 3)
            with suppress(Unavailable):
                if not await cache.replace(key, owner, owner, lifetime_s=WORKING_S):
                    await cache.add(key, owner, lifetime_s=WORKING_S)

    task = asyncio.create_task(renew())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        with suppress(Unavailable):
            await cache.discard(key, owner)


async def answer_by_row(
    database: Database,
    cache: RedisCache,
    table: type[TryonJob] | type[SegmentationResult],
    user_id: UUID,
    keyed: KeyedRequest,
    make: Make,
) -> Answer:
    """`work_once` with the receipt in the row that `make` inserts."""

    async def find() -> Answer | None:
        async with database.read() as session:
            stored = await get_receipt(session, table, user_id, keyed.key)
        return read_receipt(stored, keyed.fingerprint)

    name = f"{table.__tablename__}:{user_id}:{keyed.key}"
    return await work_once(cache, name, find, make)


async def answer_by_cache(
    cache: RedisCache, scope: str, keyed: KeyedRequest, make: Make, *, lifetime_s: int
) -> Answer:
    """`work_once` with the receipt in the cache, for answers that soon lose their value.

    `scope` names the caller and the kind of request; a key is unique within it.
    """
    name = f"{scope}:{keyed.key}"
    key = f"idempotency:{_digest(name)}"

    async def find() -> Answer | None:
        stored = await cache.get(key)
        return read_receipt(None if stored is None else json.loads(stored), keyed.fingerprint)

    async def make_and_store() -> Answer:
        answer = await make()
        stored = json.dumps(receipt(keyed.fingerprint, answer)).encode()
        if not await cache.add(key, stored, lifetime_s=lifetime_s):
            raise Overtaken("the same request was answered at the same time")
        return answer

    return await work_once(cache, name, find, make_and_store)


def _digest(name: str) -> str:
    """A hash, so that cache keys are short and contain no caller's text."""
    return hashlib.sha256(json.dumps(name).encode()).hexdigest()
