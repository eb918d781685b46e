"""The same request under one `Idempotency-Key` is answered once and then repeated."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from errors import Conflict
from studio.ports import Cache

WORKING = b"working"
WORKING_S = 30
POLL_S = 0.1
POLLS = 50


def fingerprint(value: Any) -> str:
    """Equal for equal JSON values."""
    plain = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(plain.encode()).hexdigest()


async def answer_once(
    cache: Cache,
    name: str,
    request_fingerprint: str,
    make: Callable[[], Awaitable[dict[str, Any]]],
    *,
    lifetime_s: int,
) -> dict[str, Any]:
    """The remembered answer under this name, or a new one, which is then remembered.

    `name` is who asks, for what, under which key; `make` builds the answer, a JSON object,
    and what it raises is not remembered.

    Raises:
        Conflict: another request was sent under the same key, or is still being answered.
        Unavailable: the cache is away, so nothing can be promised.
    """
    key = f"idempotency:{fingerprint(name)}"
    if not await cache.add(key, WORKING, lifetime_s=WORKING_S):
        remembered = await _wait_for(cache, key)
        if remembered["fingerprint"] != request_fingerprint:
            raise Conflict("this Idempotency-Key was used with another request")
        return dict(remembered["answer"])
    try:
        answer = await make()
    except BaseException:
        await cache.delete(key)
        raise
    kept = {"fingerprint": request_fingerprint, "answer": answer}
    await cache.set(key, json.dumps(kept).encode(), lifetime_s=lifetime_s)
    return answer


async def _wait_for(cache: Cache, key: str) -> dict[str, Any]:
    """The answer of a twin that may still be at work."""
    for _ in range(POLLS):
        value = await cache.get(key)
        if value is None:
            break
        if value != WORKING:
            return dict(json.loads(value))
        await asyncio.sleep(POLL_S)
    raise Conflict("a request with this Idempotency-Key is still being answered")
