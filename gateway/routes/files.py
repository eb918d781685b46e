"""Routes of uploads."""

from datetime import datetime
from functools import partial
from typing import Any, Literal, Self
from uuid import UUID

from fastapi import APIRouter, Response

from db.tables import File
from errors import Forbidden
from gateway.deps import (
    ClientAddressDep,
    Customer,
    FileChecksDep,
    IdempotencyKey,
    PlacesDep,
    StudioDep,
)
from gateway.once import once
from gateway.paging import PageDep, page_of
from gateway.wire import Page, WireResponse
from integrations.blobs.lifetimes import UPLOAD_LIFETIME_S
from studio.files import files, uploads
from studio.files.rules import PURPOSES
from studio.files.uploads import UploadForm
from studio.idempotency import KeyedRequest, answer_by_cache
from studio.ports import Studio

router = APIRouter(prefix="/api/files", tags=["files"])


class PresignResponse(WireResponse):
    """Where to PUT the file, with which headers, and until when."""

    file_id: UUID
    url: str
    method: Literal["PUT"] = "PUT"
    headers: dict[str, str]
    expires_at: datetime
    file_url: str


class FileResponse(WireResponse):
    """An upload. `id` names the resource; requests take the same value as `fileId`."""

    id: UUID
    file_id: UUID
    purpose: str
    filename: str
    content_type: str
    size_bytes: int
    status: str
    sha256: str | None
    width: int | None
    height: int | None
    created_at: datetime
    completed_at: datetime | None
    read_url: str | None

    @classmethod
    async def of(cls, studio: Studio, file: File) -> Self:
        """Adds a signed URL; a file that was not checked can't be read."""
        read_url = await studio.blobs.sign_get(file.blob_key) if file.status == "ready" else None
        return cls.from_row(file, file_id=file.id, read_url=read_url)


@router.post("/presign", status_code=201)
async def presign_upload(
    body: UploadForm,
    user: Customer,
    studio: StudioDep,
    places: PlacesDep,
    idempotency_key: IdempotencyKey = None,
) -> PresignResponse:
    """Returns a signed URL for one upload; the same URL again for the same `Idempotency-Key`."""
    rules = PURPOSES[body.purpose]
    if not user.has_role(rules.role):
        raise Forbidden(f"the purpose {body.purpose} needs the role {rules.role}")

    async def make(_: KeyedRequest | None) -> dict[str, Any]:
        async with places.presigns.place(user.id):
            presigned = await uploads.presign(studio, user.id, body)
        return {
            "file_id": str(presigned.file_id),
            "url": presigned.upload.url,
            "headers": presigned.upload.headers,
            "expires_at": presigned.upload.expires_at.isoformat(),
            "blob_key": presigned.blob_key,
        }

    answer = partial(
        answer_by_cache, studio.cache, f"presign:{user.id}", lifetime_s=UPLOAD_LIFETIME_S
    )
    receipt = await once(idempotency_key, body, make, answer)
    # Signed here, so that the URL of a repeated answer lasts as long as that of the first.
    file_url = await studio.blobs.sign_get(receipt.pop("blob_key"))
    return PresignResponse.model_validate(receipt | {"file_url": file_url})


@router.post("/{file_id}/complete")
async def complete_upload(
    file_id: UUID, user: Customer, studio: StudioDep, checks: FileChecksDep
) -> FileResponse:
    """Checks the uploaded file; it can't be used before."""
    file = await uploads.complete(studio, checks, user.id, file_id)
    return await FileResponse.of(studio, file)


@router.get("/{file_id}")
async def read_file(file_id: UUID, user: Customer, studio: StudioDep) -> FileResponse:
    """Returns one of the caller's uploads, with a signed URL to read it."""
    return await FileResponse.of(studio, await files.find_own_file(studio, user.id, file_id))


@router.get("")
async def list_files(user: Customer, studio: StudioDep, page: PageDep) -> Page[FileResponse]:
    """Lists the caller's uploads, newest first."""
    rows = await files.list_own_files(studio, user.id, limit=page.row_limit, after=page.after_key)
    return await page_of(rows, page, partial(FileResponse.of, studio))


@router.delete("/{file_id}", status_code=204, response_class=Response)
async def delete_file(
    file_id: UUID, user: Customer, studio: StudioDep, places: PlacesDep, ip: ClientAddressDep
) -> None:
    """Deletes an upload, with its content and everything that was created from it."""
    async with places.deletions.place(user.id):
        await files.delete(studio, user.id, file_id, ip=ip)
