"""Try-ons over HTTP: made directly or as a job; both store the same kind of row."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from db.deletion.lineage import share_lineage
from db.tables import Job, TryonJob
from errors import DeadlinePassed, StudioError, Unavailable
from models.tryon.shapes import TryOnOrder
from studio.deletion.lineage import delete_unrecorded_blob, output_key_of
from studio.files.storage import require_storage
from studio.idempotency import KeyedRequest, Overtaken
from studio.job_types import enqueue
from studio.ports import Studio
from studio.tryon.forms import Mode, TryOnForm, naming_fields
from studio.tryon.inputs import Draft, build_order, drafting, insert_present
from studio.tryon.job import TRYON
from studio.tryon.making import all_timings, make, result_columns, row_of
from studio.tryon.payload import payload_of


@dataclass(frozen=True)
class DirectTryOn:
    """A try-on that was made directly."""

    tryon_id: UUID
    output_key: str
    seed: int
    timings: dict[str, float]
    category: str
    steps: list[str]


async def try_on(
    studio: Studio,
    user_id: UUID,
    form: TryOnForm,
    mode: Mode,
    *,
    keyed: KeyedRequest | None = None,
) -> DirectTryOn | Job:
    """Makes a small try-on directly if TryOn has room, or else creates a job for it.

    `mode` can force either.

    keyed: the row stores the answer for requests under the same key.

    Raises:
        Overtaken: a request under the same key was answered meanwhile.
        StudioError: a picture can't be used; the message starts with the field.
        TooLarge: the account's quota is used up.
        Unavailable: TryOn is down or has too many waiting, and `mode` is sync.
    """
    await require_storage(studio, user_id)
    with naming_fields():
        async with drafting(studio, user_id, uuid4()) as draft:
            order, pixels = await build_order(studio, draft, form)
            if mode == "queued" or (mode == "auto" and await _is_heavy(studio, pixels)):
                return await _enqueue(studio, draft, order, keyed)
            try:
                return await _make_directly(studio, draft, order, keyed)
            except Unavailable:
                if mode == "sync":
                    raise
                return await _enqueue(studio, draft, order, keyed)


async def _is_heavy(studio: Studio, pixels: int) -> bool:
    """Whether a direct answer would take long; also True if TryOn is down."""
    try:
        load = await studio.tryon.load()
    except Unavailable:
        return True
    return pixels > load.direct_pixels or load.waiting >= load.direct_waiting


async def _make_directly(
    studio: Studio, draft: Draft, order: TryOnOrder, keyed: KeyedRequest | None
) -> DirectTryOn:
    """Makes the picture and then writes its row; after a failure, neither of them is left."""
    tryon_id = _id_of(draft)
    output_key, started_s = output_key_of(tryon_id), time.perf_counter()
    try:
        result = await make(studio, draft.user_id, order, output_key, datetime.now(UTC))
        timings = all_timings(order, result, started_s)
        answer = DirectTryOn(
            tryon_id, output_key, order.seed, timings, result.category, result.steps
        )
        row = row_of(
            order, tryon_id, draft.user_id, state="succeeded", finished_at=datetime.now(UTC),
            stored_bytes=draft.stored_bytes + result.size_bytes,
            **result_columns(result, tryon_id, timings), **receipt_columns(keyed, answer),
        )  # fmt: skip
        async with studio.database.transaction() as session:
            if not await insert_present(session, row):
                raise Overtaken("a request with this Idempotency-Key was answered meanwhile")
    except (Unavailable, DeadlinePassed, asyncio.CancelledError):
        await delete_unrecorded_blob(studio, TryonJob, tryon_id, output_key)
        raise
    except BaseException:
        with suppress(StudioError):
            await studio.blobs.delete(output_key)
        raise
    return answer


async def _enqueue(
    studio: Studio, draft: Draft, order: TryOnOrder, keyed: KeyedRequest | None
) -> Job:
    """Inserts the job and the try-on's row, or neither."""
    job_id = _id_of(draft)
    async with studio.database.transaction() as session:
        await share_lineage(session, draft.user_id)
        job = await enqueue(
            session, TRYON, payload_of(order), owner_id=draft.user_id, job_id=job_id
        )
        row = row_of(
            order, job_id, draft.user_id, job_id=job_id, stored_bytes=draft.stored_bytes,
            **receipt_columns(keyed, job),
        )  # fmt: skip
        if not await insert_present(session, row):  # rolls the job back
            raise Overtaken("a request with this Idempotency-Key was answered meanwhile")
    return job


def answer_document(answer: DirectTryOn | Job) -> dict[str, Any]:
    """The answer to callers, with the picture's key: each repetition signs a new URL for it."""
    if isinstance(answer, Job):
        return {"job_id": str(answer.id)}
    return {**vars(answer), "tryon_id": str(answer.tryon_id)}


def receipt_columns(keyed: KeyedRequest | None, answer: DirectTryOn | Job) -> dict[str, Any]:
    """The columns in which the row stores the answer for requests under the same key."""
    return {} if keyed is None else keyed.columns(answer_document(answer))


def _id_of(draft: Draft) -> UUID:
    if draft.tryon_id is None:
        raise ValueError("a draft that only checks pictures has no try-on")
    return draft.tryon_id
