"""Try-ons: a garment onto a person, at once or as a job, by one function and into the same rows."""

import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from pydantic import Field

from db.deletion.lineage import share_lineage
from db.tables import Job, TryonJob
from db.tryons import add_stored, get_own_tryon, update_tryon
from errors import Invalid, NotFound, StudioError, Unavailable
from studio.context import current_caller, current_request_id
from studio.deletion.lineage import output_key_of
from studio.files.storage import require_storage
from studio.forms import Form
from studio.idempotency import KeyedRequest, Overtaken
from studio.job_types import JobRun, JobType, Outcome, Progress, enqueue, read_payload
from studio.ports import Studio, TryOnMade, TryOnOrder
from studio.tryon.inputs import (
    Draft,
    check_mask,
    drafting,
    find_garment,
    insert_present,
    store_picture,
)

Url = Annotated[str, Field(min_length=1, max_length=4096)]
Mode = Literal["auto", "sync", "queued"]
MAX_SEED = 2**31 - 1


class TryOnForm(Form):
    """What to put on whom. Without a mask the garment is segmented first; without a category it
    is guessed from the garment.
    """

    person_url: Url
    garment_url: Url
    mask_url: Url | None = None
    category: Literal["upper", "lower", "dress"] | None = None
    quality: Literal["fast", "balanced", "quality"] = "balanced"
    seed: Annotated[int, Field(strict=True, ge=0, le=MAX_SEED)] | None = None
    steps: Annotated[int, Field(strict=True, ge=1, le=100)] | None = None


@dataclass(frozen=True)
class Asked:
    """A try-on whose pictures lie in the blob store; what a queued one keeps in its payload."""

    person_key: str
    garment_key: str
    mask_key: str
    category: str | None
    quality: str
    seed: int
    steps: int | None
    segment_ms: float = 0.0

    def row(self, tryon_id: UUID, user_id: UUID, **values: Any) -> TryonJob:
        """The row of this try-on."""
        return TryonJob(
            id=tryon_id,
            user_id=user_id,
            person_key=self.person_key,
            garment_key=self.garment_key,
            mask_key=self.mask_key,
            params={"category": self.category, "quality": self.quality, "steps": self.steps},
            seed=self.seed,
            request_id=current_request_id(),
            **values,
        )


@dataclass(frozen=True)
class Finished:
    """A try-on that was done at once."""

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
) -> Finished | Job:
    """At once where it is small and TryOn has room, else as a job; `mode` may force either.

    keyed: the row keeps the answer for requests under the same key.

    Raises:
        Overtaken: a request under the same key was answered meanwhile.
        StudioError: a picture can't be used; the message names the field.
        TooLarge: the account's quota is used up.
        Unavailable: TryOn is down or has too many waiting, and `mode` is sync.
    """
    await require_storage(studio, user_id)
    async with drafting(studio, user_id, uuid4()) as draft:
        asked, pixels = await read_form(studio, draft, form)
        if mode == "queued" or (mode == "auto" and await _is_heavy(studio, pixels)):
            return await _enqueue(studio, draft, asked, keyed)
        try:
            return await _do_now(studio, draft, asked, keyed)
        except Unavailable:
            if mode == "sync":
                raise
            return await _enqueue(studio, draft, asked, keyed)


async def read_form(
    studio: Studio, draft: Draft, form: TryOnForm, run: JobRun | None = None
) -> tuple[Asked, int]:
    """The pictures as blobs, the garment segmented; also the larger picture's pixels.

    Raises:
        StudioError: a picture can't be used; the message names the field.
    """
    person = await store_picture(studio, draft, form.person_url, "person")
    garment = await store_picture(studio, draft, form.garment_url, "garment")
    started_s = time.perf_counter()
    category: str | None = form.category
    if form.mask_url is not None:
        mask = await store_picture(studio, draft, form.mask_url, "mask")
        check_mask(mask, garment)
        mask_key = mask.key
    else:
        found = await find_garment(studio, draft, garment, form.category, run)
        mask_key, category = found.mask_key, category or found.category
    segment_ms = round((time.perf_counter() - started_s) * 1000, 2)
    chosen = run.job_id.int % MAX_SEED if run else secrets.randbelow(MAX_SEED)
    asked = Asked(
        person.key,
        garment.key,
        mask_key,
        category,
        form.quality,
        chosen if form.seed is None else form.seed,
        form.steps,
        segment_ms,
    )
    return asked, max(person.pixels, garment.pixels)


async def _is_heavy(studio: Studio, pixels: int) -> bool:
    """Whether a direct answer would take long; a TryOn that is down makes it a job as well."""
    try:
        load = await studio.tryon.load()
    except Unavailable:
        return True
    return pixels > load.direct_pixels or load.waiting >= load.direct_waiting


async def _do_now(
    studio: Studio, draft: Draft, asked: Asked, keyed: KeyedRequest | None
) -> Finished:
    """The row is written when the picture is there: nothing is left of what didn't succeed."""
    tryon_id = _id_of(draft)
    output_key, started_s = output_key_of(tryon_id), time.perf_counter()
    try:
        made = await perform(studio, draft.user_id, asked, output_key, datetime.now(UTC))
        timings = all_timings(asked, made, started_s)
        finished = Finished(tryon_id, output_key, asked.seed, timings, made.category, made.steps)
        row = asked.row(
            tryon_id, draft.user_id, state="succeeded", finished_at=datetime.now(UTC),
            stored_bytes=draft.stored_bytes + made.size_bytes,
            **written(made, tryon_id, timings), **receipt_of(keyed, finished),
        )  # fmt: skip
        async with studio.database.transaction() as session:
            if not await insert_present(session, row):
                raise Overtaken("a request with this Idempotency-Key was answered meanwhile")
    except BaseException:
        with suppress(StudioError):
            await studio.blobs.delete(output_key)
        raise
    return finished


def answer_of(made: Finished | Job) -> dict[str, Any]:
    """As callers get it, but for the picture's URL, which is signed anew."""
    if isinstance(made, Job):
        return {"job_id": str(made.id)}
    return {**vars(made), "tryon_id": str(made.tryon_id)}


def receipt_of(keyed: KeyedRequest | None, made: Finished | Job) -> dict[str, Any]:
    """What the row keeps for requests under the same key."""
    return {} if keyed is None else keyed.columns(answer_of(made))


async def _enqueue(studio: Studio, draft: Draft, asked: Asked, keyed: KeyedRequest | None) -> Job:
    """Job and row, or neither."""
    job_id = _id_of(draft)
    payload = {name: value for name, value in vars(asked).items() if value is not None}
    async with studio.database.transaction() as session:
        await share_lineage(session, draft.user_id)
        job = await enqueue(session, TRYON, payload, owner_id=draft.user_id, job_id=job_id)
        row = asked.row(
            job_id, draft.user_id, job_id=job_id, stored_bytes=draft.stored_bytes,
            **receipt_of(keyed, job),
        )  # fmt: skip
        if not await insert_present(session, row):  # the job is rolled back with it
            raise Overtaken("a request with this Idempotency-Key was answered meanwhile")
    return job


def _id_of(draft: Draft) -> UUID:
    if draft.tryon_id is None:
        raise ValueError("a draft that is only looked at becomes no try-on")
    return draft.tryon_id


async def perform(
    studio: Studio,
    owner_id: UUID,
    asked: Asked,
    output_key: str,
    accepted_at: datetime,
    on_progress: Progress | None = None,
) -> TryOnMade:
    """The one way a try-on is made; the same `asked` makes the same picture.

    Raises:
        StudioError: as `studio.ports.TryOn.dress`.
    """
    caller = current_caller()
    order = TryOnOrder(
        asked.person_key, asked.garment_key, asked.mask_key, output_key, asked.seed,
        accepted_at.timestamp(), asked.category, asked.quality, asked.steps,
        owner=str(owner_id), network=caller.network if caller else "",
    )  # fmt: skip
    async for told in studio.tryon.dress(order):
        if isinstance(told, TryOnMade):
            return told
        if on_progress is not None:
            await on_progress(told.done, told.total, told.message)
    raise Unavailable("TryOn ended without an answer")


def all_timings(asked: Asked, made: TryOnMade, started_s: float) -> dict[str, float]:
    """Milliseconds of every step, and of the whole, segmentation included."""
    total_ms = (time.perf_counter() - started_s) * 1000 + asked.segment_ms
    return {"segmentMs": asked.segment_ms} | made.timings | {"totalMs": round(total_ms, 2)}


def written(made: TryOnMade, tryon_id: UUID, timings: dict[str, float]) -> dict[str, Any]:
    """What a finished try-on's row holds beside its state."""
    return {
        "output_key": output_key_of(tryon_id),
        "timings": timings,
        "model_version": made.model_version,
    }


async def check_tryon(studio: Studio, owner_id: UUID, form: TryOnForm) -> None:
    """Raises:
    StudioError: a picture of a job that is asked for can't be used.
    """
    looked_at = Draft(owner_id)
    garment = await store_picture(studio, looked_at, form.garment_url, "garment")
    await store_picture(studio, looked_at, form.person_url, "person")
    if form.mask_url is not None:
        check_mask(await store_picture(studio, looked_at, form.mask_url, "mask"), garment)


TRYON = JobType(
    "tryon", role="customer", form=TryOnForm, deadline_s=1800, check=check_tryon, limit_class="cv"
)


async def run_tryon(studio: Studio, run: JobRun) -> Outcome:
    """One attempt of a queued try-on; a second one writes the same picture under the same key.

    Raises:
        StudioError: as `perform`. JobStopped: cancelled, or another worker's.
    """
    if run.owner_id is None:
        raise Invalid("a try-on needs an owner")
    tryon_id, owner_id = run.job_id, run.owner_id
    async with drafting(studio, owner_id, tryon_id) as draft:
        asked = await _asked_of(studio, run, draft)
        async with studio.database.transaction() as session:
            await share_lineage(session, owner_id)
            await run.guard(session)
            row = asked.row(
                tryon_id, owner_id, job_id=tryon_id, state="running",
                stored_bytes=draft.stored_bytes,
            )  # fmt: skip
            await insert_present(session, row)
            kept = await get_own_tryon(session, tryon_id, owner_id)
    if kept is None:
        raise NotFound("the try-on is gone")
    started_s = time.perf_counter()
    key = output_key_of(tryon_id)
    made = await perform(studio, owner_id, asked, key, kept.created_at, run.progress)
    timings = all_timings(asked, made, started_s)

    async def record(session: Any) -> None:
        await update_tryon(session, tryon_id, **written(made, tryon_id, timings))
        await add_stored(session, tryon_id, made.size_bytes)

    result = {
        "tryonId": str(tryon_id), "outputKey": key, "seed": asked.seed, "timings": timings,
        "category": made.category, "steps": made.steps,
    }  # fmt: skip
    return Outcome(result, record)


async def _asked_of(studio: Studio, run: JobRun, draft: Draft) -> Asked:
    """Keys where the request or an earlier attempt has found them, else the form's pictures; a
    seed of the job's own.

    Raises:
        Invalid: the payload no longer names a picture, because it was deleted.
    """
    if "person_key" in run.payload:
        if not {"garment_key", "mask_key"} <= run.payload.keys():
            raise Invalid("the garment's picture or mask was deleted: submit a new try-on")
        return replace(Asked("", "", "", None, "balanced", 0, None), **run.payload)
    async with studio.database.read() as session:
        row = await get_own_tryon(session, run.job_id, draft.user_id)
    if row is not None and row.garment_key and row.mask_key:
        keys = (row.person_key, row.garment_key, row.mask_key)
        return Asked(*keys, seed=row.seed, **row.params)
    form = read_payload(TryOnForm, run.payload)
    asked, _ = await read_form(studio, draft, form, run)
    return asked
