"""Deletions applied once more, after a backup from before them was restored."""

from contextlib import suppress
from uuid import UUID

from db.catalog import get_product, take_change_lock
from db.deletion.erasures import insert_erasure
from db.deletion.lineage import lock_lineage
from db.deletion.product_removal import list_showing
from db.files import delete_file, get_file, get_own_file
from db.tryons import get_tryon
from db.users import get_user
from errors import Invalid, StudioError
from studio.accounts.removal import end_account, remove_account
from studio.catalog.removal import empty_product
from studio.deletion.blob_removal import remove_doomed
from studio.deletion.lineage import delete_made_of, delete_tryon_rows
from studio.deletion.mentions import enter_mentions, strip_due
from studio.ports import Studio


async def erase_again(studio: Studio, kind: str, subject: str) -> None:
    """Applies a deletion once more; nothing happens where its subject isn't there.

    Only for rows of `erasure` that are younger than the backup: what was deleted before it and
    made again since is another thing of the same name. A product that shows a deleted file in the
    backup leaves with it: its merchant had given it another picture since.

    Raises:
        Invalid: no such kind.
        Unavailable: database or blob store are away; it can be repeated.
    """
    if kind not in ERASE:
        raise Invalid(f"no such kind of erasure: {kind}")
    await ERASE[kind](studio, subject)
    await strip_due(studio.database)
    with suppress(StudioError):  # the tidy asks the store again
        await remove_doomed(studio.database, studio.blobs)


async def _erase_file(studio: Studio, subject: str) -> None:
    async with studio.database.transaction() as session:
        file = await get_file(session, UUID(subject))
        if file is not None:
            await lock_lineage(session, file.owner_id)
            keys = await delete_made_of(session, [file.blob_key])
            await get_own_file(session, file.id, file.owner_id, lock=True)
            await take_change_lock(session)
            for product in await list_showing(session, file.id):
                await empty_product(session, product)
            await delete_file(session, file.id)
            enter_mentions(session, file.owner_id, keys)
            insert_erasure(session, "file", subject)


async def _erase_tryon(studio: Studio, subject: str) -> None:
    async with studio.database.transaction() as session:
        row = await get_tryon(session, UUID(subject))
        if row is not None:
            await lock_lineage(session, row.user_id)
            keys = await delete_tryon_rows(session, [row.id])
            enter_mentions(session, row.user_id, keys)
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


ERASE = {
    "file": _erase_file,
    "tryon": _erase_tryon,
    "product": _erase_product,
    "account": _erase_account,
}
