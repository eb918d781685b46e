"""The same request under one `Idempotency-Key` is answered once and then repeated."""

import asyncio
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from db.receipts import get_receipt
from db.tables import SegmentationResult, TryonJob
from errors import Conflict, Unavailable
from studio.ports import Cache, Studio

WORKING_S = 30
"""How long a mark stays behind whose worker has vanished; a living one renews it."""
POLL_S = 0.1
POLLS = 50

Answer = dict[str, Any]
Find = Callable[[], Awaitable[Answer | None]]
Make = Callable[[], Awaitable[Answer]]


class Overtaken(Conflict):
    """The same request was answered meanwhile: its receipt is there."""


@dataclass(frozen=True)
class KeyedRequest:
    """A request that came under a key; the row that it makes keeps the receipt."""

    key: str
    fingerprint: str

    @classmethod
    def of(cls, key: str | None, body: Any) -> "KeyedRequest | None":
        """None for a request without a key."""
        return None if key is None else cls(key, fingerprint(body))

    def columns(self, answer: Answer) -> dict[str, Any]:
        """What the row holds of it."""
        return {"idempotency_key": self.key, "receipt": receipt(self.fingerprint, answer)}


def fingerprint(value: Any) -> str:
    """Equal for equal JSON values."""
    plain = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(plain.encode()).hexdigest()


def receipt(request_fingerprint: str, answer: Answer) -> dict[str, Any]:
    """The answer, and the request that it was given to."""
    return {"fingerprint": request_fingerprint, "answer": answer}


def read_receipt(kept: dict[str, Any] | None, request_fingerprint: str) -> Answer | None:
    """The answer that this request was given before.

    Raises:
        Conflict: it was given to another request.
    """
    if kept is None:
        return None
    if kept["fingerprint"] != request_fingerprint:
        raise Conflict("this Idempotency-Key was used with another request")
    return dict(kept["answer"])


async def work_once(cache: Cache, name: str, find: Find, make: Make) -> Answer:
    """The answer that `find` knows under this name, or a new one.

    `name` is who asks, for what, under which key. `make` leaves what `find` reads, or raises
    `Overtaken` where somebody else has left it. The cache only keeps two workers from doing the
    same at the same time: what it forgets costs work, never a second answer.

    Raises:
        Conflict: another request was sent under the same key, or this one is still being answered.
        Unavailable: the cache is away, so nothing can be promised.
    """
    if (answer := await find()) is not None:
        return answer
    key, mark = f"working:{fingerprint(name)}", secrets.token_bytes(16)
    for _ in range(POLLS):
        if await cache.add(key, mark, lifetime_s=WORKING_S):
            async with renewed(cache, key, mark):
                return await _find_or_make(find, make)
        await asyncio.sleep(POLL_S)
    raise Conflict("a request with this Idempotency-Key is still being answered")


async def _find_or_make(find: Find, make: Make) -> Answer:
    """Whoever had the mark before may have left an answer."""
    if (answer := await find()) is not None:
        return answer
    try:
        return await make()
    except Overtaken:
        if (answer := await find()) is None:
            raise
        return answer


@asynccontextmanager
async def renewed(cache: Cache, key: str, mark: bytes) -> AsyncIterator[None]:
    """The mark is there for as long as the block runs; another's mark is left alone."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(WORKING_S / 3)
            with suppress(Unavailable):
                if not await cache.replace(key, mark, mark, lifetime_s=WORKING_S):
                    await cache.add(key, mark, lifetime_s=WORKING_S)

    task = asyncio.create_task(renew())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        with suppress(Unavailable):
            await cache.discard(key, mark)


async def answer_by_row(
    studio: Studio,
    table: type[TryonJob] | type[SegmentationResult],
    user_id: UUID,
    keyed: KeyedRequest | None,
    make: Make,
) -> Answer:
    """As `work_once`, with the receipt in the row that `make` inserts; without a key, `make`."""
    if keyed is None:
        return await make()

    async def find() -> Answer | None:
        async with studio.database.read() as session:
            kept = await get_receipt(session, table, user_id, keyed.key)
        return read_receipt(kept, keyed.fingerprint)

    name = f"{table.__tablename__}:{user_id}:{keyed.key}"
    return await work_once(studio.cache, name, find, make)


async def answer_once(
    cache: Cache, name: str, request_fingerprint: str, make: Make, *, lifetime_s: int
) -> Answer:
    """As `work_once`, with a receipt in the cache: for answers that are worth nothing later."""
    key = f"idempotency:{fingerprint(name)}"

    async def find() -> Answer | None:
        kept = await cache.get(key)
        return read_receipt(None if kept is None else json.loads(kept), request_fingerprint)

    async def make_and_keep() -> Answer:
        answer = await make()
        kept = json.dumps(receipt(request_fingerprint, answer)).encode()
        if not await cache.add(key, kept, lifetime_s=lifetime_s):
            raise Overtaken("the same request was answered meanwhile")
        return answer

    return await work_once(cache, name, find, make_and_keep)
