"""The job `tryon`: one attempt of a queued try-on."""

import time
from typing import Any
from uuid import UUID

from db.deletion.lineage import share_lineage
from db.tryons import add_stored, get_own_tryon, update_tryon
from errors import Invalid, NotFound
from models.tryon.shapes import TryOnOrder
from studio.deletion.lineage import output_key_of
from studio.job_types import JobRun, JobType, Outcome, read_payload
from studio.ports import Studio
from studio.tryon.forms import TryOnForm, naming_fields
from studio.tryon.inputs import Draft, build_order, check_pictures, drafting, insert_present
from studio.tryon.making import all_timings, make, result_columns, row_of
from studio.tryon.payload import order_from_payload


async def check_tryon(studio: Studio, owner_id: UUID, form: TryOnForm) -> None:
    """Checks the pictures of a try-on, when the job is submitted.

    Raises:
        StudioError: a picture of the job can't be used; the message starts with the field.
    """
    with naming_fields():
        await check_pictures(studio, owner_id, form)


TRYON = JobType(
    "tryon", role="customer", form=TryOnForm, deadline_s=1800, check=check_tryon, limit_class="cv"
)


async def run_tryon(studio: Studio, run: JobRun) -> Outcome:
    """Runs one attempt; every attempt writes the same picture under the same key.

    Raises:
        StudioError: as `studio.tryon.making.make`; the message starts with the field.
        JobStopped: the job was cancelled, or another worker has it.
    """
    if run.owner_id is None:
        raise Invalid("a try-on needs an owner")
    with naming_fields():
        return await _run(studio, run, run.owner_id)


async def _run(studio: Studio, run: JobRun, owner_id: UUID) -> Outcome:
    tryon_id = run.job_id
    async with drafting(studio, owner_id, tryon_id) as draft:
        order = await _order_of(studio, run, draft)
        async with studio.database.transaction() as session:
            await share_lineage(session, owner_id)
            await run.guard(session)
            row = row_of(
                order, tryon_id, owner_id, job_id=tryon_id, state="running",
                stored_bytes=draft.stored_bytes,
            )  # fmt: skip
            await insert_present(session, row)
            stored_row = await get_own_tryon(session, tryon_id, owner_id)
    if stored_row is None:
        raise NotFound("the try-on is gone")
    started_s = time.perf_counter()
    key = output_key_of(tryon_id)
    result = await make(studio, owner_id, order, key, stored_row.created_at, run.progress)
    timings = all_timings(order, result, started_s)

    async def record(session: Any) -> None:
        await update_tryon(session, tryon_id, **result_columns(result, tryon_id, timings))
        await add_stored(session, tryon_id, result.size_bytes)

    document = {
        "tryonId": str(tryon_id), "outputKey": key, "seed": order.seed, "timings": timings,
        "category": result.category, "steps": result.steps,
    }  # fmt: skip
    return Outcome(document, record)


async def _order_of(studio: Studio, run: JobRun, draft: Draft) -> TryOnOrder:
    """The order that the payload or the row of an earlier attempt contains.

    Otherwise it builds an order from the payload's form, with a seed derived from the job's id.

    Raises:
        Invalid: the payload no longer names a picture, because it was deleted.
    """
    if "person_key" in run.payload:  # queued by a request, which stored the pictures
        return order_from_payload(run.payload)
    async with studio.database.read() as session:
        row = await get_own_tryon(session, run.job_id, draft.user_id)
    if row is not None and row.garment_key and row.mask_key:
        keys = {
            "person_key": row.person_key, "garment_key": row.garment_key, "mask_key": row.mask_key,
        }  # fmt: skip
        return order_from_payload(keys | {"seed": row.seed} | row.params)
    order, _ = await build_order(studio, draft, read_payload(TryOnForm, run.payload), run)
    return order
