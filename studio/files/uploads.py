"""Uploads: presigned within the quota, sent straight to the blob store, then checked."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
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
from integrations.blobs.lifetimes import UPLOAD_LIFETIME_S
from studio.files.checks import DEADLINE_S, FileChecks
from studio.files.files import find_own_file
from studio.files.rules import FileFacts, PurposeName, extension_for, upload_ends_at
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
    purpose: PurposeName


@dataclass(frozen=True)
class Presigned:
    """A pending file, the signed URL for its content, and the key of its blob."""

    file_id: UUID
    upload: SignedUpload
    blob_key: str


class TooManyPending(RateLimited):
    """The account has the maximum number of unfinished uploads."""

    retry_after_s = 60


class CheckRunning(Unavailable):
    """Another Gateway is checking the same upload and will soon have a result."""

    retry_after_s = 2


async def presign(studio: Studio, owner_id: UUID, form: UploadForm) -> Presigned:
    """Inserts a pending row and signs a URL that accepts exactly this upload, once.

    Raises:
        Invalid, TooLarge: the purpose does not accept such a file, or the quota is used up.
        TooManyPending: the account has too many unfinished uploads.
        Unavailable: the blob store is full.
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
    """Checks that the account may store `size_bytes` more.

    The account's other requests wait until this transaction ends.

    Raises:
        TooLarge: the quota is used up.
        TooManyPending: the account has too many unfinished uploads.
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
    """Checks an uploaded file; a repetition returns the stored result.

    Raises:
        NotFound: there is no such file, or it belongs to another account.
        Conflict: nothing was uploaded yet.
        NotAnImage, Invalid, TooLarge: the file is not what was announced. The blob is deleted
            then, and every repetition gets the same error.
        OwnerBusy, AllBusy, Unavailable: too many uploads are being checked.
    """
    file = await find_own_file(studio, owner_id, file_id)
    if file.status == "pending":
        file = await checks.share(owner_id, file_id, partial(_check, studio, checks, file))
    if file.failure is not None:
        raise failure_of(file.failure)
    return file


async def _check(studio: Studio, checks: FileChecks, file: File) -> File:
    """Checks the file under a lease and stores the result in its row.

    Raises:
        CheckRunning: another Gateway has the lease.
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
    """The facts of the file, or the reason why it can't be used."""
    try:
        return await checks.inspect(studio.blobs, file)
    except (NotAnImage, Invalid, TooLarge) as error:
        return error


async def _settle(studio: Studio, file: File, result: FileFacts | StudioError) -> File:
    """Stores the result in the row; the blob of a failed file is deleted before that."""
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
    """The error of a failed check, from the text that its row stores."""
    kind, _, detail = text.partition(": ")
    return FAILURES[kind](detail)
