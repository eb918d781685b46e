"""Lists, looks up and deletes the try-ons of an account."""

from datetime import datetime
from uuid import UUID

from db import tryons
from db.audit import insert_audit
from db.deletion.erasures import insert_erasure
from db.deletion.lineage import lock_lineage
from db.tables import TryonJob
from db.tryons import get_own_tryon
from errors import NotFound
from studio.context import current_request_id
from studio.deletion.blob_removal import remove_soon
from studio.deletion.lineage import delete_tryon_rows, output_key_of
from studio.deletion.mentions import insert_mentions, strip_soon
from studio.ports import Studio


async def delete_tryon(studio: Studio, user_id: UUID, tryon_id: UUID, *, ip: str | None) -> None:
    """Deletes a try-on with its job, its picture, its copies and everything derived from it.

    Raises:
        NotFound: there is no such try-on, or it belongs to another account.
        Unavailable: the blob store does not answer; nothing is deleted then.
    """
    output_key = output_key_of(tryon_id)
    await find_tryon(studio, user_id, tryon_id)
    await studio.blobs.head(output_key)
    async with studio.database.transaction() as session:
        await lock_lineage(session, user_id)
        if await get_own_tryon(session, tryon_id, user_id) is None:
            raise NotFound("no such try-on")
        keys = await delete_tryon_rows(session, [tryon_id])
        insert_mentions(session, user_id, keys)
        insert_erasure(session, "tryon", str(tryon_id))
        insert_audit(
            session, "TRYON_DELETED", actor_id=user_id, subject=str(tryon_id), ip=ip,
            request_id=current_request_id(),
        )  # fmt: skip
    await remove_soon(studio.database, studio.blobs, [output_key, *sorted(keys)])
    await strip_soon(studio.database, user_id)


async def list_tryons(
    studio: Studio, user_id: UUID, *, limit: int, after: tuple[datetime, UUID] | None
) -> list[TryonJob]:
    """The user's try-ons, newest first."""
    async with studio.database.read() as session:
        return await tryons.list_tryons(session, user_id, limit=limit, after=after)


async def find_tryon(studio: Studio, user_id: UUID, tryon_id: UUID) -> TryonJob:
    """Reads one of the user's try-ons.

    Raises:
        NotFound: there is no such try-on, or it belongs to another account.
    """
    async with studio.database.read() as session:
        row = await get_own_tryon(session, tryon_id, user_id)
    if row is None:
        raise NotFound("no such try-on")
    return row
