"""What one account may store: uploads, and all that is made for it."""

from uuid import UUID

from db.files import sum_stored
from errors import TooLarge
from studio.ports import Studio


def too_much(stored_bytes: int, quota_bytes: int, file_bytes: int | None = None) -> TooLarge:
    """The refusal of whatever would store more."""
    file = "" if file_bytes is None else f", and this file has {file_bytes:,}"
    return TooLarge(
        f"your account stores {stored_bytes:,} of {quota_bytes:,} bytes{file}: delete some uploads "
        "(DELETE /api/files/{fileId} removes what was made of one, too) or try-ons "
        "(DELETE /api/cv/tryons/{id}) first"
    )


async def require_storage(studio: Studio, owner_id: UUID) -> None:
    """Before work whose result is stored. It takes no lock: requests at the same moment may store
    one result each beyond the quota.

    Raises:
        TooLarge: the account's quota is used up.
    """
    async with studio.database.read() as session:
        stored_bytes = await sum_stored(session, owner_id)
    if stored_bytes >= studio.settings.quota_bytes:
        raise too_much(stored_bytes, studio.settings.quota_bytes)
