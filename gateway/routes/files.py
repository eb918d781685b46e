"""Routes of uploads."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field

from db.files import list_files
from db.tables import File
from errors import Forbidden
from gateway.deps import (
    ClientAddressDep,
    Customer,
    FileChecksDep,
    IdempotencyKey,
    PresignsDep,
    StudioDep,
    TurnsDep,
)
from gateway.paging import Cursor, PageDep
from gateway.wire import Page, WireRequest, WireResponse
from studio.files import files, uploads
from studio.files.rules import PURPOSES, UPLOAD_LIFETIME_S
from studio.idempotency import answer_once, fingerprint
from studio.ports import Studio

router = APIRouter(prefix="/api/files", tags=["files"])


class PresignRequest(WireRequest):
    """An upload that is about to come."""

    filename: str = Field(min_length=1, max_length=255)
    content_type: str = Field(min_length=1, max_length=100)
    size_bytes: int = Field(ge=1)
    purpose: Literal["selfie", "garment", "product", "dataset"]


class PresignResponse(WireResponse):
    """Where to PUT it, with which headers, until when."""

    file_id: UUID
    url: str
    method: Literal["PUT"] = "PUT"
    headers: dict[str, str]
    expires_at: datetime
    file_url: str


class FileResponse(WireResponse):
    """An upload; `id` names the resource, `fileId` is the same where requests take it."""

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


async def file_response(studio: Studio, file: File) -> FileResponse:
    """Row -> wire; only a checked file can be read."""
    is_ready = file.status == "ready"
    return FileResponse(
        id=file.id,
        file_id=file.id,
        purpose=file.purpose,
        filename=file.filename,
        content_type=file.content_type,
        size_bytes=file.size_bytes,
        status=file.status,
        sha256=file.sha256,
        width=file.width,
        height=file.height,
        created_at=file.created_at,
        completed_at=file.completed_at,
        read_url=await studio.blobs.sign_get(file.blob_key) if is_ready else None,
    )


@router.post("/presign", status_code=201)
async def presign(
    body: PresignRequest,
    user: Customer,
    studio: StudioDep,
    presigns: PresignsDep,
    idempotency_key: IdempotencyKey = None,
) -> PresignResponse:
    """A signed URL for one upload; the same again under the same `Idempotency-Key`."""
    rules = PURPOSES[body.purpose]
    if not user.has_role(rules.role):
        raise Forbidden(f"the purpose {body.purpose} needs the role {rules.role}")

    async def make() -> dict[str, Any]:
        announced = uploads.Announcement(
            body.filename, body.content_type, body.size_bytes, body.purpose
        )
        async with presigns.place(user.id):
            made = await uploads.presign(studio, user.id, announced)
        return {
            "file_id": str(made.file_id),
            "url": made.upload.url,
            "headers": made.upload.headers,
            "expires_at": made.upload.expires_at.isoformat(),
            "blob_key": made.blob_key,
        }

    if idempotency_key is None:
        receipt = await make()
    else:
        name = f"presign:{user.id}:{idempotency_key}"
        receipt = await answer_once(
            studio.cache,
            name,
            fingerprint(body.model_dump()),
            make,
            lifetime_s=UPLOAD_LIFETIME_S,
        )
    # Signed now: the URL of a repeated answer is as good as that of the first.
    file_url = await studio.blobs.sign_get(receipt.pop("blob_key"))
    return PresignResponse.model_validate(receipt | {"file_url": file_url})


@router.post("/{file_id}/complete")
async def complete(
    file_id: UUID, user: Customer, studio: StudioDep, checks: FileChecksDep
) -> FileResponse:
    """Checks the upload; only then it can be used."""
    return await file_response(studio, await uploads.complete(studio, checks, user.id, file_id))


@router.get("/{file_id}")
async def get_file(file_id: UUID, user: Customer, studio: StudioDep) -> FileResponse:
    """One upload, with a signed URL to read it."""
    return await file_response(studio, await files.find_own_file(studio, user.id, file_id))


@router.get("")
async def get_files(user: Customer, studio: StudioDep, page: PageDep) -> Page[FileResponse]:
    """The caller's uploads, newest first."""
    async with studio.database.transaction() as session:
        rows = await list_files(session, user.id, limit=page.limit + 1, after=page.after_key)
    items = [await file_response(studio, row) for row in rows[: page.limit]]
    last = rows[page.limit - 1] if len(rows) > page.limit else None
    return Page(items=items, next_cursor=last and Cursor(last.created_at, str(last.id)).encode())


@router.delete("/{file_id}", status_code=204, response_class=Response)
async def delete_file(
    file_id: UUID, user: Customer, studio: StudioDep, turns: TurnsDep, ip: ClientAddressDep
) -> None:
    """Removes blob and row."""
    async with turns.place(user.id):
        await files.delete(studio, user.id, file_id, ip=ip)
