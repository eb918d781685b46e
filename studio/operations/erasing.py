"""Repeats deletions after the restore of a backup that is older than the deletions."""

from contextlib import suppress
from uuid import UUID

from db.catalog import get_product, take_change_lock
from db.deletion.erasures import insert_erasure
from db.deletion.lineage import lock_lineage
from db.deletion.product_removal import list_products_of_file
from db.files import delete_file, get_file, get_own_file
from db.tryons import get_tryon
from db.users import get_user
from errors import Invalid, StudioError
from studio.accounts.removal import end_account, remove_account
from studio.catalog.removal import empty_product
from studio.deletion.blob_removal import remove_doomed
from studio.deletion.lineage import delete_derived, delete_tryon_rows
from studio.deletion.mentions import insert_mentions, strip_due
from studio.ports import Studio


async def repeat_erasure(studio: Studio, kind: str, subject: str) -> None:
    """Repeats one deletion; does nothing if its subject does not exist.

    Call it only for rows of `erasure` that are younger than the backup: a product that was deleted
    before the backup may have been created again under the same id. A product of the backup that
    shows a deleted file is removed, too: its merchant had replaced the picture after the backup.

    Raises:
        Invalid: there is no such kind of deletion.
        Unavailable: the database or the blob store does not answer; the call can be repeated.
    """
    if kind not in ERASERS:
        raise Invalid(f"no such kind of erasure: {kind}")
    await ERASERS[kind](studio, subject)
    await strip_due(studio.database)
    with suppress(StudioError):  # `tidy` removes them later
        await remove_doomed(studio.database, studio.blobs)


async def _erase_file(studio: Studio, subject: str) -> None:
    async with studio.database.transaction() as session:
        file = await get_file(session, UUID(subject))
        if file is not None:
            await lock_lineage(session, file.owner_id)
            keys = await delete_derived(session, [file.blob_key])
            await get_own_file(session, file.id, file.owner_id, lock=True)
            await take_change_lock(session)
            for product in await list_products_of_file(session, file.id):
                await empty_product(session, product)
            await delete_file(session, file.id)
            insert_mentions(session, file.owner_id, keys)
            insert_erasure(session, "file", subject)


async def _erase_tryon(studio: Studio, subject: str) -> None:
    async with studio.database.transaction() as session:
        row = await get_tryon(session, UUID(subject))
        if row is not None:
            await lock_lineage(session, row.user_id)
            keys = await delete_tryon_rows(session, [row.id])
            insert_mentions(session, row.user_id, keys)
            insert_erasure(session, "tryon", subject)


async def _erase_product(studio: Studio, subject: str) -> None:
    async with studio.database.transaction() as session:
        await take_change_lock(session)
        product = await get_product(session, subject, lock=True)
        if product is not None:
            await empty_product(session, product)


async def _erase_account(studio: Studio, subject: str) -> None:
    async with studio.database.transaction() as session:
        if await get_user(session, UUID(subject), lock=True) is None:
            return
        await end_account(session, UUID(subject))
    await remove_account(studio.database, studio.blobs, UUID(subject))


ERASERS = {
    "file": _erase_file,
    "tryon": _erase_tryon,
    "product": _erase_product,
    "account": _erase_account,
}
