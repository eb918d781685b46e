"""Uploads: announced, put straight into the blob store, checked, and theirs until deleted."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import anyio.to_thread
from sqlalchemy.exc import IntegrityError

from db.audit import insert_audit
from db.erasures import insert_erasure
from db.files import (
    delete_file,
    get_file,
    get_file_by_key,
    get_own_file,
    get_public_key,
    insert_file,
    is_on_sale,
)
from db.lineage import lock_lineage
from db.segmentations import get_segmentation_by_mask
from db.tables import File
from errors import Conflict, Invalid, NotAnImage, NotFound
from integrations.blob_keys import SignedUpload
from studio.blob_removal import remove_blob, remove_soon
from studio.context import current_request_id
from studio.file_rules import UPLOAD_LIFETIME_S, extension_for, inspect_file
from studio.lineage import delete_made_of, strip_mentions
from studio.ports import Studio


@dataclass(frozen=True)
class Announcement:
    """What a caller is about to upload."""

    filename: str
    content_type: str
    size_bytes: int
    purpose: str


@dataclass(frozen=True)
class Presigned:
    """A pending file, where to put its bytes, and where they can be read afterwards."""

    file_id: UUID
    upload: SignedUpload
    file_url: str


async def presign(studio: Studio, owner_id: UUID, announced: Announcement) -> Presigned:
    """A pending row and a URL that takes exactly this upload, once.

    Raises:
        Invalid, TooLarge: the purpose takes no such file.
    """
    extension = extension_for(announced.purpose, announced.content_type, announced.size_bytes)
    file_id = uuid4()
    key = f"uploads/{owner_id}/{file_id}{extension}"
    upload = await studio.blobs.sign_put(
        key,
        content_type=announced.content_type,
        max_bytes=announced.size_bytes,
        lifetime_s=UPLOAD_LIFETIME_S,
    )
    file_url = await studio.blobs.sign_get(key)
    async with studio.database.transaction() as session:
        await insert_file(
            session,
            File(
                id=file_id,
                owner_id=owner_id,
                purpose=announced.purpose,
                filename=announced.filename,
                content_type=announced.content_type,
                size_bytes=announced.size_bytes,
                blob_key=key,
            ),
        )
    return Presigned(file_id, upload, file_url)


async def find_own_file(studio: Studio, owner_id: UUID, file_id: UUID) -> File:
    """Raises:
    NotFound: absent, or another's.
    """
    async with studio.database.transaction() as session:
        file = await get_own_file(session, file_id, owner_id)
    if file is None:
        raise NotFound("no such file")
    return file


async def complete(studio: Studio, owner_id: UUID, file_id: UUID) -> File:
    """Checks what was uploaded; repeating it changes nothing.

    Raises:
        NotFound: absent, or another's.
        Conflict: nothing was uploaded yet.
        NotAnImage, Invalid, TooLarge: it is not what was announced.
    """
    file = await find_own_file(studio, owner_id, file_id)
    if file.status == "ready":
        return file
    blob = await studio.blobs.head(file.blob_key)
    if blob is None:
        raise Conflict("nothing was uploaded yet")
    if blob.size != file.size_bytes:
        raise Invalid(f"{blob.size} bytes were uploaded, {file.size_bytes} were announced")
    data = await studio.blobs.get(file.blob_key)
    facts = await anyio.to_thread.run_sync(inspect_file, data, file.purpose, file.content_type)
    async with studio.database.transaction() as session:
        row = await get_own_file(session, file_id, owner_id, lock=True)
        if row is None:
            raise NotFound("no such file")
        if row.status != "ready":
            row.status, row.completed_at = "ready", datetime.now(UTC)
            row.sha256, row.width, row.height = facts.sha256, facts.width, facts.height
        return row


async def delete(studio: Studio, owner_id: UUID, file_id: UUID, *, ip: str | None) -> None:
    """Removes a file with everything that was made of it: masks, heatmaps, try-ons of the person.

    The file's own blob goes before the commit: where the store or the commit fails, the caller is
    told so and can repeat it. The blobs of what was made of it are entered as doomed, and removed
    right after the commit.

    Raises:
        NotFound: absent, or another's.
        Conflict: a live product shows it.
        Unavailable: the blob store is away; nothing is deleted then.
    """
    try:
        async with studio.database.transaction() as session:
            await lock_lineage(session, owner_id)
            file = await get_own_file(session, file_id, owner_id, lock=True)
            if file is None:
                raise NotFound("no such file")
            if await is_on_sale(session, file_id=file.id, blob_key=file.blob_key):
                raise Conflict("a live product shows this picture; delete the product first")
            await delete_file(session, file.id)
            keys = await delete_made_of(session, [file.blob_key])
            await strip_mentions(session, owner_id, keys)
            insert_erasure(session, "file", str(file_id))
            insert_audit(
                session, "FILE_DELETED", actor_id=owner_id, subject=str(file_id), ip=ip,
                request_id=current_request_id(),
            )  # fmt: skip
            await session.flush()
            await remove_blob(studio.blobs, file.blob_key)
    except IntegrityError:
        raise Conflict("a product shows this picture") from None
    await remove_soon(studio.database, studio.blobs)


@dataclass(frozen=True)
class LoadedImage:
    """An encoded picture; key and file id where it lies in this studio's own store."""

    data: bytes
    key: str | None
    file_id: UUID | None


async def load_image(
    studio: Studio, user_id: UUID | None, *, image_url: str | None, file_id: UUID | None
) -> LoadedImage:
    """The bytes of `imageUrl | fileId`: own files, pictures on sale, or the outside world.

    Raises:
        Invalid: both or neither are given, or the address is refused.
        NotFound: absent, or another's and not on sale.
        Conflict: the upload is not completed.
        NotAnImage, TooLarge, UpstreamFailed: what lies there can't be used.
    """
    if (image_url is None) == (file_id is None):
        raise Invalid("give either imageUrl or fileId")
    if image_url is None:
        key, found_id = await _find_usable(studio, user_id, file_id=file_id, key=None)
        return LoadedImage(await studio.blobs.get(key), key, found_id)
    own_key = studio.blobs.key_of(image_url)
    if own_key is None:
        return LoadedImage(await studio.fetcher.fetch_image(image_url), None, None)
    key, found_id = await _find_usable(studio, user_id, file_id=None, key=own_key)
    return LoadedImage(await studio.blobs.get(key), key, found_id)


async def require_picture(
    studio: Studio, user_id: UUID, *, image_url: str | None = None, file_id: UUID | None = None
) -> None:
    """Looks whether `load_image` would find its own picture; the outside world isn't asked.

    Raises:
        NotFound: absent, or another's and not on sale.
        Conflict: the upload is not completed.
    """
    key = None if image_url is None else studio.blobs.key_of(image_url)
    if file_id is not None or key is not None:
        await _find_usable(studio, user_id, file_id=file_id, key=key)


async def _find_usable(
    studio: Studio, user_id: UUID | None, *, file_id: UUID | None, key: str | None
) -> tuple[str, UUID | None]:
    """Judged by the row, never by the signature of a URL.

    Another's upload that is on sale is used as the product's public copy: the upload itself, with
    its metadata, stays its owner's.
    """
    async with studio.database.read() as session:
        if file_id is not None:
            file = await get_file(session, file_id)
        else:
            file = await get_file_by_key(session, key or "")
        if file is not None:
            if user_id is not None and file.owner_id == user_id:
                return check_usable(file), file.id
            public_key = await get_public_key(session, file_id=file.id, blob_key=file.blob_key)
            if public_key is not None:
                return public_key, None
        elif key is not None and await is_on_sale(session, file_id=None, blob_key=key):
            return key, None
        elif key is not None and user_id is not None:
            made = await get_segmentation_by_mask(session, key)
            if made is not None and made.user_id == user_id:
                return key, None
    raise NotFound("no such picture")


def check_usable(file: File) -> str:
    """The key of a file that is a checked picture.

    Raises:
        Conflict: not completed.
        NotAnImage: a dataset.
    """
    if file.status != "ready":
        raise Conflict("the upload is not completed: POST /api/files/{fileId}/complete")
    if file.purpose == "dataset":
        raise NotAnImage("the file is a dataset, not a picture")
    return file.blob_key
