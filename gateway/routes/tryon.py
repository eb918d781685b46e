"""Routes of try-ons: made at once or as a job, and the history of both."""

import asyncio
from collections.abc import Awaitable
from datetime import datetime
from functools import partial
from typing import Any, Literal, TypeVar
from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from db.tables import TryonJob
from db.tryons import list_tryons
from gateway.deps import ClientAddressDep, Customer, IdempotencyKey, PlacesDep, StudioDep
from gateway.documents import Document
from gateway.once import once
from gateway.paging import PageDep, page_of
from gateway.wire import JobAccepted, Page, WireRequest, WireResponse
from studio.idempotency import KeyedRequest, answer_by_row
from studio.ports import Studio
from studio.tryon import history as tryon_history
from studio.tryon import tryon

router = APIRouter(prefix="/api/cv", tags=["try-on"])

LOOK_S = 0.5
Result = TypeVar("Result")


class TryOnRequest(tryon.TryOnForm, WireRequest):
    """Person, garment, and how; `auto` answers at once where it is small and there is room."""

    mode: Literal["auto", "sync", "queued"] = "auto"


class TryOnResponse(WireResponse):
    """A finished try-on: a lossless PNG of the person's size; `steps` says what ran."""

    output_url: str
    tryon_id: UUID
    seed: int
    category: str
    steps: list[str]
    timings: dict[str, float]


class TryOnRecord(WireResponse):
    """A try-on of one's own; URLs are signed anew. A picture that was deleted has none."""

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
    """Whether a history may sign this blob: an upload only to its owner."""
    return not key.startswith("uploads/") or key.startswith(f"uploads/{user_id}/")


async def record_of(studio: Studio, row: TryonJob) -> TryOnRecord:
    """Row -> wire."""

    async def sign(key: str | None) -> str | None:
        return await studio.blobs.sign_get(key) if key and may_show(row.user_id, key) else None

    return TryOnRecord(
        id=row.id,
        job_id=row.job_id,
        state=row.state,
        person_url=await sign(row.person_key),
        garment_url=await sign(row.garment_key),
        mask_url=await sign(row.mask_key),
        output_url=await sign(row.output_key),
        params=row.params,
        seed=row.seed,
        timings=row.timings,
        model_version=row.model_version,
        error=row.error,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


async def unless_gone(request: Request, work: Awaitable[Result]) -> Result:
    """The work's result; it is cancelled when the caller leaves.

    Raises:
        ClientDisconnect: nobody waits for the answer any more.
    """
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=LOOK_S))[0]:
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
    """200 with the picture, or 202 with a job whose result has it."""
    form = tryon.TryOnForm(**body.model_dump(exclude={"mode"}, by_alias=True))

    async def make(keyed: KeyedRequest | None) -> dict[str, Any]:
        return tryon.answer_of(await tryon.try_on(studio, user.id, form, body.mode, keyed=keyed))

    work = once(idempotency_key, body, make, partial(answer_by_row, studio, TryonJob, user.id))
    answer = await (unless_gone(request, work) if idempotency_key is None else work)
    if "job_id" in answer:
        accepted = JobAccepted(job_id=answer["job_id"])
        return Response(accepted.model_dump_json(by_alias=True), 202, media_type="application/json")
    output_url = await studio.blobs.sign_get(answer.pop("output_key"))
    return TryOnResponse(output_url=output_url, **answer)


@router.get("/tryons")
async def read_tryons(page: PageDep, user: Customer, studio: StudioDep) -> Page[TryOnRecord]:
    """The caller's try-ons, newest first."""
    async with studio.database.read() as session:
        rows = await list_tryons(session, user.id, limit=page.row_limit, after=page.after_key)
    return await page_of(rows, page, partial(record_of, studio))


@router.get("/tryons/{tryon_id}")
async def read_tryon(tryon_id: UUID, user: Customer, studio: StudioDep) -> TryOnRecord:
    """One try-on of one's own."""
    return await record_of(studio, await tryon_history.find_tryon(studio, user.id, tryon_id))


@router.delete("/tryons/{tryon_id}", status_code=204, response_class=Response)
async def delete_tryon(
    tryon_id: UUID, user: Customer, studio: StudioDep, places: PlacesDep, ip: ClientAddressDep
) -> None:
    """Removes a try-on of one's own with its pictures; a job that still makes it ends."""
    async with places.deletions.place(user.id):
        await tryon_history.delete_tryon(studio, user.id, tryon_id, ip=ip)
