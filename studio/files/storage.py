"""The storage quota of an account: its uploads and the results that were made for it."""

from contextlib import suppress
from uuid import UUID

from db.files import sum_stored
from errors import TooLarge, Unavailable
from studio.ports import Studio

ROOM_S = 5
"""How long a successful check is cached; to sum the sizes of 100,000 results takes 0.1 s."""


def too_much(stored_bytes: int, quota_bytes: int, file_bytes: int | None = None) -> TooLarge:
    """The error for a request that would exceed the quota."""
    file = "" if file_bytes is None else f", and this file has {file_bytes:,}"
    return TooLarge(
        f"your account stores {stored_bytes:,} of {quota_bytes:,} bytes{file}: delete some uploads "
        "(DELETE /api/files/{fileId} also removes what was made from it) or try-ons "
        "(DELETE /api/cv/tryons/{id}) first"
    )


async def require_storage(studio: Studio, owner_id: UUID) -> None:
    """Checks the quota before work whose result is stored.

    It takes no lock, and caches for `ROOM_S` that an account is within its quota; requests in
    this time may exceed it.

    Raises:
        TooLarge: the account's quota is used up.
    """
    key = f"storage:{owner_id}"
    with suppress(Unavailable):
        if await studio.cache.get(key):
            return
    async with studio.database.read() as session:
        stored_bytes = await sum_stored(session, owner_id)
    if stored_bytes >= studio.settings.quota_bytes:
        raise too_much(stored_bytes, studio.settings.quota_bytes)
    with suppress(Unavailable):
        await studio.cache.set(key, b"has room", lifetime_s=ROOM_S)
