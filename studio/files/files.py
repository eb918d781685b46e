"""The files of an account: find, list, read as pictures, delete."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from db.audit import insert_audit
from db.deletion.erasures import insert_erasure
from db.deletion.lineage import lock_lineage
from db.files import (
    delete_file,
    get_file,
    get_file_by_key,
    get_own_file,
    get_public_key,
    is_on_sale,
    list_files,
)
from db.segmentations import get_segmentation_by_mask
from db.tables import File
from errors import Conflict, Invalid, NotAnImage, NotFound
from studio.context import current_caller, current_request_id
from studio.deletion.blob_removal import remove_soon
from studio.deletion.lineage import delete_derived
from studio.deletion.mentions import insert_mentions, strip_soon
from studio.ports import Studio


async def find_own_file(studio: Studio, owner_id: UUID, file_id: UUID) -> File:
    """Reads one of the account's files.

    Raises:
        NotFound: there is no such file, or it belongs to another account.
    """
    async with studio.database.transaction() as session:
        file = await get_own_file(session, file_id, owner_id)
    if file is None:
        raise NotFound("no such file")
    return file


async def list_own_files(
    studio: Studio, owner_id: UUID, *, limit: int, after: tuple[datetime, UUID] | None
) -> list[File]:
    """Reads the account's uploads, newest first."""
    async with studio.database.read() as session:
        return await list_files(session, owner_id, limit=limit, after=after)


async def delete(studio: Studio, owner_id: UUID, file_id: UUID, *, ip: str | None) -> None:
    """Deletes a file with everything that was created from it: masks, heatmaps, try-ons.

    One transaction deletes the rows, waits for nothing outside of the database, and records the
    blobs to be removed; they are removed right after it.

    Raises:
        NotFound: there is no such file, or it belongs to another account.
        Conflict: a live product shows it.
        Unavailable: the blob store can't be reached; nothing is deleted then.
    """
    file = await find_own_file(studio, owner_id, file_id)
    await studio.blobs.head(file.blob_key)
    try:
        async with studio.database.transaction() as session:
            keys = await _delete_rows(session, owner_id, file_id, ip)
    except IntegrityError:
        raise Conflict("a product shows this picture") from None
    await remove_soon(studio.database, studio.blobs, [file.blob_key, *sorted(keys)])
    await strip_soon(studio.database, owner_id)


async def _delete_rows(
    session: AsyncSession, owner_id: UUID, file_id: UUID, ip: str | None
) -> set[str]:
    """Deletes the rows; takes locks in this order: lineage, jobs of derived pictures, the file."""
    await lock_lineage(session, owner_id)
    file = await get_own_file(session, file_id, owner_id)
    if file is None:
        raise NotFound("no such file")
    keys = await delete_derived(session, [file.blob_key])
    await get_own_file(session, file_id, owner_id, lock=True)
    if await is_on_sale(session, file_id=file.id, blob_key=file.blob_key):
        raise Conflict("a live product shows this picture; delete the product first")
    await delete_file(session, file.id)
    insert_mentions(session, owner_id, keys)
    insert_erasure(session, "file", str(file_id))
    insert_audit(
        session, "FILE_DELETED", actor_id=owner_id, subject=str(file_id), ip=ip,
        request_id=current_request_id(),
    )  # fmt: skip
    await session.flush()
    return keys


@dataclass(frozen=True)
class UsablePicture:
    """A picture in this studio's own store; file: its row, if it is the user's own upload."""

    key: str
    file: File | None = None


@dataclass(frozen=True)
class LoadedImage:
    """An encoded picture; key and file id are set if it is in the studio's own blob store."""

    data: bytes
    key: str | None
    file_id: UUID | None


async def load_image(
    studio: Studio,
    user_id: UUID | None,
    *,
    image_url: str | None,
    file_id: UUID | None,
    is_patient: bool = False,
) -> LoadedImage:
    """Reads the picture of `imageUrl | fileId`: an own file, a product's picture, or a web address.

    is_patient: waits for a free place instead of failing, for requests with many pictures.

    Raises:
        Invalid: both or neither are given, or the address is refused.
        NotFound: there is no such picture, or it belongs to another account and is not on sale.
        Conflict: the upload is not completed.
        NotAnImage, TooLarge, UpstreamFailed: the picture at the address can't be used.
        RateLimited, Unavailable: too many pictures are being fetched, for the caller or for all.
    """
    if (image_url is None) == (file_id is None):
        raise Invalid("give either imageUrl or fileId")
    if image_url is None:
        picture = await find_usable(studio, user_id, file_id=file_id)
        return await _load(studio, picture)
    own_key = studio.blobs.key_of(image_url)
    if own_key is None:
        data = await studio.fetcher.fetch_image(image_url, current_caller(), is_patient=is_patient)
        return LoadedImage(data, None, None)
    return await _load(studio, await find_usable(studio, user_id, key=own_key))


async def _load(studio: Studio, picture: UsablePicture) -> LoadedImage:
    file_id = None if picture.file is None else picture.file.id
    return LoadedImage(await studio.blobs.get(picture.key), picture.key, file_id)


async def require_picture(
    studio: Studio, user_id: UUID, *, image_url: str | None = None, file_id: UUID | None = None
) -> str | None:
    """The key of the blob that `load_image` would read; None for an address on the web.

    Raises:
        NotFound: there is no such picture, or it belongs to another account and is not on sale.
        Conflict: the upload is not completed.
    """
    key = None if image_url is None else studio.blobs.key_of(image_url)
    if file_id is None and key is None:
        return None
    return (await find_usable(studio, user_id, file_id=file_id, key=key)).key


async def find_usable(
    studio: Studio, user_id: UUID | None, *, file_id: UUID | None = None, key: str | None = None
) -> UsablePicture:
    """A stored picture by its file or its key. Access depends on the row, not on a URL's signature.

    Another user's upload that is on sale is used as the product's public copy: the upload itself,
    with its metadata, stays private.

    Raises:
        NotFound: there is no such picture, or it belongs to another account and is not on sale.
        Conflict: the upload is not completed.
        NotAnImage: the file is a dataset.
    """
    async with studio.database.read() as session:
        if file_id is not None:
            file = await get_file(session, file_id)
        else:
            file = await get_file_by_key(session, key or "")
        if file is not None:
            if user_id is not None and file.owner_id == user_id:
                return UsablePicture(check_usable(file), file)
            public_key = await get_public_key(session, file_id=file.id, blob_key=file.blob_key)
            if public_key is not None:
                return UsablePicture(public_key)
        elif key is not None and await is_on_sale(session, file_id=None, blob_key=key):
            return UsablePicture(key)
        elif key is not None and user_id is not None:
            segmentation = await get_segmentation_by_mask(session, key)
            if segmentation is not None and segmentation.user_id == user_id:
                return UsablePicture(key)
    raise NotFound("no such picture")


def check_usable(file: File) -> str:
    """The key of a file that is a checked picture.

    Raises:
        Conflict: the upload is not completed.
        NotAnImage: the file is a dataset.
    """
    if file.status != "ready":
        raise Conflict("the upload is not completed: POST /api/files/{fileId}/complete")
    if file.purpose == "dataset":
        raise NotAnImage("the file is a dataset, not a picture")
    return file.blob_key
