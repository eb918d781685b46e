"""Routes of try-ons: made directly or as a job, and their history."""

import asyncio
from collections.abc import Awaitable
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from db.tables import TryonJob
from gateway.deps import ClientAddressDep, Customer, IdempotencyKey, PlacesDep, StudioDep
from gateway.documents import Document
from gateway.once import once
from gateway.paging import PageDep, page_of
from gateway.wire import JobAccepted, Page, WireResponse
from studio.idempotency import KeyedRequest, answer_by_row
from studio.ports import Studio
from studio.tryon import history
from studio.tryon.forms import Mode, TryOnForm
from studio.tryon.tryon import answer_document
from studio.tryon.tryon import try_on as make_try_on

router = APIRouter(prefix="/api/cv", tags=["try-on"])

POLL_S = 0.5
Result = TypeVar("Result")


class TryOnRequest(TryOnForm):
    """The pictures and options of a try-on. Mode `auto` answers directly where the pictures are
    small and few try-ons wait, and creates a job otherwise.
    """

    mode: Mode = "auto"


class TryOnResponse(WireResponse):
    """A finished try-on: a lossless PNG of the person's size; `steps` lists the steps that ran."""

    output_url: str
    tryon_id: UUID
    seed: int
    category: str
    steps: list[str]
    timings: dict[str, float]


class TryOnRecordResponse(WireResponse):
    """One of the caller's try-ons, with newly signed URLs; a deleted picture has none."""

    id: UUID
    job_id: UUID | None
    state: str
    person_url: str | None
    garment_url: str | None
    mask_url: str | None
    output_url: str | None
    params: Document
    seed: int
    timings: dict[str, float]
    model_version: str | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None


def may_show(user_id: UUID, key: str) -> bool:
    """Whether the user may see this blob in a history; uploads are shown to their owner only."""
    return not key.startswith("uploads/") or key.startswith(f"uploads/{user_id}/")


async def record_of(studio: Studio, row: TryonJob) -> TryOnRecordResponse:
    """A try-on's row as callers get it, with URLs for its blobs."""

    async def sign(key: str | None) -> str | None:
        return await studio.blobs.sign_get(key) if key and may_show(row.user_id, key) else None

    return TryOnRecordResponse.from_row(
        row,
        person_url=await sign(row.person_key),
        garment_url=await sign(row.garment_key),
        mask_url=await sign(row.mask_key),
        output_url=await sign(row.output_key),
    )


async def unless_gone(request: Request, work: Awaitable[Result]) -> Result:
    """The work's result; the work is cancelled when the caller disconnects.

    Raises:
        ClientDisconnect: the caller has disconnected.
    """
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=POLL_S))[0]:
            if await request.is_disconnected():
                raise ClientDisconnect
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    return task.result()


@router.post("/tryon", responses={202: {"model": JobAccepted}}, response_model=TryOnResponse)
async def try_on(
    request: Request,
    body: TryOnRequest,
    user: Customer,
    studio: StudioDep,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Dresses a person in a garment: 200 with the picture, or 202 with a job that creates it."""

    async def make(keyed: KeyedRequest | None) -> dict[str, Any]:
        answer = await make_try_on(studio, user.id, body, body.mode, keyed=keyed)
        return answer_document(answer)

    work = once(
        idempotency_key,
        body,
        make,
        partial(answer_by_row, studio.database, studio.cache, TryonJob, user.id),
    )
    answer = await (unless_gone(request, work) if idempotency_key is None else work)
    if "job_id" in answer:
        accepted = JobAccepted(job_id=answer["job_id"])
        return Response(accepted.model_dump_json(by_alias=True), 202, media_type="application/json")
    output_url = await studio.blobs.sign_get(answer.pop("output_key"))
    return TryOnResponse(output_url=output_url, **answer)


@router.get("/tryons")
async def list_tryon_history(
    page: PageDep, user: Customer, studio: StudioDep
) -> Page[TryOnRecordResponse]:
    """Lists the caller's try-ons, newest first."""
    rows = await history.list_tryons(studio, user.id, limit=page.row_limit, after=page.after_key)
    return await page_of(rows, page, partial(record_of, studio))


@router.get("/tryons/{tryon_id}")
async def read_tryon(tryon_id: UUID, user: Customer, studio: StudioDep) -> TryOnRecordResponse:
    """Returns one of the caller's try-ons."""
    return await record_of(studio, await history.find_tryon(studio, user.id, tryon_id))


@router.delete("/tryons/{tryon_id}", status_code=204, response_class=Response)
async def delete_tryon(
    tryon_id: UUID, user: Customer, studio: StudioDep, places: PlacesDep, ip: ClientAddressDep
) -> None:
    """Deletes one of the caller's try-ons with its pictures; a job that is still making it ends."""
    async with places.deletions.place(user.id):
        await history.delete_tryon(studio, user.id, tryon_id, ip=ip)
