"""What one account may store: uploads, and all that is made for it."""

from contextlib import suppress
from uuid import UUID

from db.files import sum_stored
from errors import TooLarge, Unavailable
from studio.ports import Studio

ROOM_S = 5
"""A sum over a hundred thousand results takes about 0.1 s."""


def too_much(stored_bytes: int, quota_bytes: int, file_bytes: int | None = None) -> TooLarge:
    """The refusal of whatever would store more."""
    file = "" if file_bytes is None else f", and this file has {file_bytes:,}"
    return TooLarge(
        f"your account stores {stored_bytes:,} of {quota_bytes:,} bytes{file}: delete some uploads "
        "(DELETE /api/files/{fileId} removes what was made of one, too) or try-ons "
        "(DELETE /api/cv/tryons/{id}) first"
    )


async def require_storage(studio: Studio, owner_id: UUID) -> None:
    """Before work whose result is stored. It takes no lock, and an account that had room is not
    summed up again for some seconds: what it asks for meanwhile may go beyond the quota.

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
