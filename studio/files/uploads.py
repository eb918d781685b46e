"""Uploads: announced within a quota, put straight into the blob store, checked."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Literal
from uuid import UUID, uuid4

from pydantic import Field
from sqlmodel.ext.asyncio.session import AsyncSession

from db.files import (
    delete_old_failures,
    end_check,
    get_own_file,
    insert_file,
    lease_check,
    lock_storage,
)
from db.tables import File
from errors import Invalid, NotAnImage, NotFound, RateLimited, StudioError, TooLarge, Unavailable
from integrations.blobs.keys import SignedUpload
from studio.files.checks import DEADLINE_S, FileChecks
from studio.files.files import find_own_file
from studio.files.rules import UPLOAD_LIFETIME_S, FileFacts, extension_for, upload_ends_at
from studio.files.storage import too_much
from studio.forms import Form
from studio.ports import Studio

MAX_PENDING = 100
MAX_FAILED = 100
CHECK_LEASE_S = DEADLINE_S + 60
FAILURES: dict[str, type[StudioError]] = {
    kind.__name__: kind for kind in (NotAnImage, Invalid, TooLarge)
}


class UploadForm(Form):
    """The file that a caller is about to upload."""

    filename: str = Field(min_length=1, max_length=255)
    content_type: str = Field(min_length=1, max_length=100)
    size_bytes: int = Field(ge=1)
    purpose: Literal["selfie", "garment", "product", "dataset"]


@dataclass(frozen=True)
class Presigned:
    """A pending file, where to put its bytes, and the blob they become."""

    file_id: UUID
    upload: SignedUpload
    blob_key: str


class TooManyPending(RateLimited):
    """The account has as many unfinished uploads as anyone may have."""

    retry_after_s = 60


class CheckRunning(Unavailable):
    """Another Gateway checks the same upload; it has an answer soon."""

    retry_after_s = 2


async def presign(studio: Studio, owner_id: UUID, form: UploadForm) -> Presigned:
    """A pending row and a URL that takes exactly this upload, once.

    Raises:
        Invalid, TooLarge: the purpose takes no such file, or the account's quota is used up.
        TooManyPending: uploads of this account wait for their end already.
        Unavailable: the store has no room.
    """
    extension = extension_for(form.purpose, form.content_type, form.size_bytes)
    file_id = uuid4()
    key = f"uploads/{owner_id}/{file_id}{extension}"
    upload = await studio.blobs.sign_put(
        key,
        content_type=form.content_type,
        max_bytes=form.size_bytes,
        lifetime_s=UPLOAD_LIFETIME_S,
    )
    async with studio.database.transaction() as session:
        await reserve(session, owner_id, form.size_bytes, studio.settings.quota_bytes)
        await insert_file(
            session,
            File(
                id=file_id,
                owner_id=owner_id,
                purpose=form.purpose,
                filename=form.filename,
                content_type=form.content_type,
                size_bytes=form.size_bytes,
                blob_key=key,
            ),
        )
    return Presigned(file_id, upload, key)


async def reserve(session: AsyncSession, owner_id: UUID, size_bytes: int, quota_bytes: int) -> None:
    """Makes sure that the account may store so much more; others of its requests wait meanwhile.

    Raises:
        TooLarge: its quota is used up. TooManyPending: so is its number of unfinished uploads.
    """
    storage = await lock_storage(session, owner_id)
    if storage.pending >= MAX_PENDING:
        raise TooManyPending(
            f"{storage.pending} of your uploads are unfinished: complete or delete some first"
        )
    if storage.stored_bytes + size_bytes > quota_bytes:
        raise too_much(storage.stored_bytes, quota_bytes, size_bytes)
    if storage.failed > MAX_FAILED:
        await delete_old_failures(session, owner_id, keep=MAX_FAILED)


async def complete(studio: Studio, checks: FileChecks, owner_id: UUID, file_id: UUID) -> File:
    """Checks what was uploaded; repeating it changes nothing and costs nothing.

    Raises:
        NotFound: absent, or another's.
        Conflict: nothing was uploaded yet.
        NotAnImage, Invalid, TooLarge: it is not what was form. The blob is deleted then, and
            every repetition gets the same error.
        OwnerBusy, AllBusy, Unavailable: too much is being checked already.
    """
    file = await find_own_file(studio, owner_id, file_id)
    if file.status == "pending":
        file = await checks.share(owner_id, file_id, partial(_check, studio, checks, file))
    if file.failure is not None:
        raise failure_of(file.failure)
    return file


async def _check(studio: Studio, checks: FileChecks, file: File) -> File:
    """Ready or failed, on the row; another Gateway leaves the file alone meanwhile.

    Raises:
        CheckRunning: another Gateway is at it.
    """
    async with studio.database.transaction() as session:
        has_lease = await lease_check(session, file.id, lease_s=CHECK_LEASE_S)
    if not has_lease:
        current = await find_own_file(studio, file.owner_id, file.id)
        if current.status == "pending":
            raise CheckRunning("this upload is being checked")
        return current
    try:
        return await _settle(studio, file, await _inspect(studio, checks, file))
    except BaseException:
        async with studio.database.transaction() as session:
            await end_check(session, file.id)
        raise


async def _inspect(studio: Studio, checks: FileChecks, file: File) -> FileFacts | StudioError:
    """What the file is, or why it can't be used."""
    try:
        return await checks.inspect(studio.blobs, file)
    except (NotAnImage, Invalid, TooLarge) as error:
        return error


async def _settle(studio: Studio, file: File, result: FileFacts | StudioError) -> File:
    """The row as it is from now on; what failed is deleted before the row says so."""
    async with studio.database.transaction() as session:
        row = await get_own_file(session, file.id, file.owner_id, lock=True)
        if row is None:
            raise NotFound("no such file")
        if row.status != "pending":
            return row
        row.completed_at, row.check_ends_at = datetime.now(UTC), None
        if isinstance(result, FileFacts):
            row.status = "ready"
            row.sha256, row.width, row.height = result.sha256, result.width, result.height
        else:
            row.status, row.failure = "failed", f"{type(result).__name__}: {result.detail}"
            await studio.blobs.bury(row.blob_key, until=upload_ends_at(row.created_at))
        return row


def failure_of(text: str) -> StudioError:
    """The error that a check ended with."""
    kind, _, detail = text.partition(": ")
    return FAILURES[kind](detail)
