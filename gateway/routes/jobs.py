"""Routes of jobs: asked for, watched, cancelled, tried again."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AwareDatetime, Field, ValidationError, WithJsonSchema, field_validator

from db.jobs import list_jobs, progress_of
from db.tables import Job
from errors import Forbidden
from gateway.deps import CurrentUser, Customer, IdempotencyKey, StudioDep
from gateway.documents import Document, show_rows
from gateway.limits import count_request
from gateway.paging import Cursor, PageDep
from gateway.wire import JobAccepted, Page, WireRequest, WireResponse
from studio.catalog.imports import drop_file
from studio.forms import Form
from studio.job_types import JobType
from studio.jobs import jobs
from studio.ports import Studio

router = APIRouter(prefix="/api/jobs", tags=["jobs"])

MOST_DAYS_AHEAD = 30


class JobRequest(WireRequest):
    """A job to be done: highest priority first (above 0 for admins), not before `runAt`."""

    type: Annotated[str, WithJsonSchema({"type": "string", "enum": list(jobs.JOB_TYPES)})]
    payload: dict[str, Any] = {}
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    run_at: AwareDatetime | None = None

    @field_validator("run_at")
    @classmethod
    def refuse_far_ahead(cls, run_at: datetime | None) -> datetime | None:
        """A job that waits for years would never leave."""
        if run_at is not None and run_at > datetime.now(UTC) + timedelta(days=MOST_DAYS_AHEAD):
            raise ValueError(f"must be at most {MOST_DAYS_AHEAD} days ahead")
        return run_at


class ProgressResponse(WireResponse):
    """How far the job is."""

    done: int
    total: int
    message: str


class JobResponse(WireResponse):
    """A job as its owner sees it."""

    id: UUID
    type: str
    state: str
    progress: ProgressResponse
    attempts: int
    max_attempts: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    result: Document | None
    error: str | None

    @classmethod
    async def of(cls, studio: Studio, job: Job) -> "JobResponse":
        """Row -> wire; what the result names in the blob store gets URLs."""
        names = set(cls.model_fields) - {"progress", "result"}
        return cls(
            **{name: getattr(job, name) for name in names},
            progress=ProgressResponse(**progress_of(job)),
            result=await jobs.signed_result(studio, job.result),
        )


def whose(user: CurrentUser) -> UUID | None:
    """Whose jobs the caller may see and stop: one's own, and admins everyone's."""
    return None if user.has_role("admin") else user.id


def read_type(body: JobRequest, user: CurrentUser) -> JobType:
    """Raises:
    RequestValidationError: there is no such type.
    Forbidden: the caller may not ask for it, or not with this priority.
    """
    job_type = jobs.JOB_TYPES.get(body.type)
    if job_type is None:
        known = ", ".join(jobs.JOB_TYPES)
        raise RequestValidationError(
            [{"type": "enum", "loc": ("body", "type"), "msg": f"must be one of {known}"}]
        )
    if not user.has_role(job_type.role):
        raise Forbidden(f"{job_type.name} jobs need the role {job_type.role}")
    if body.priority > 0 and not user.has_role("admin"):
        raise Forbidden("a priority above 0 needs the role admin")
    return job_type


def read_payload(body: JobRequest, job_type: JobType) -> Form:
    """Raises:
    RequestValidationError: naming the fields of the payload.
    """
    try:
        return job_type.form.model_validate(body.payload)
    except ValidationError as error:
        raise RequestValidationError(
            [
                {**one, "loc": ("body", "payload", *one["loc"])}
                for one in error.errors(include_input=False, include_url=False)
            ]
        ) from None


@router.post("", status_code=202)
async def submit(
    request: Request,
    body: JobRequest,
    user: Customer,
    studio: StudioDep,
    idempotency_key: IdempotencyKey = None,
) -> JobAccepted:
    """Accepts a job, which is then never lost; the same one again under the same key."""
    job_type = read_type(body, user)
    form = read_payload(body, job_type)
    if job_type.limit_class is not None:
        await count_request(request.app.state.limits, request.scope, job_type.limit_class)
    job = await jobs.submit_job(
        studio,
        job_type,
        form,
        owner_id=user.id,
        idempotency_key=idempotency_key,
        priority=body.priority,
        run_at=body.run_at,
    )
    return JobAccepted(job_id=job.id)


@router.get("/{job_id}")
async def read_job(job_id: UUID, user: Customer, studio: StudioDep) -> JobResponse:
    """One job of one's own; admins see everyone's."""
    return await JobResponse.of(studio, await jobs.find_job(studio.database, job_id, whose(user)))


@router.delete("/{job_id}", responses={202: {"model": JobResponse}})
async def cancel(
    job_id: UUID, user: Customer, studio: StudioDep, response: Response
) -> JobResponse:
    """Cancels a queued job at once (200); asks a running one to stop (202)."""
    await jobs.find_job(studio.database, job_id, whose(user))
    job = await jobs.cancel_job(studio.database, job_id)
    if job.state == "cancelled":  # no worker has it, so none cleans up after it
        await drop_file(studio.blobs, job.payload)
    else:
        response.status_code = 202
    return await JobResponse.of(studio, job)


@router.post("/{job_id}/retry", status_code=202)
async def retry(job_id: UUID, user: Customer, studio: StudioDep) -> JobAccepted:
    """Queues a failed job again; it goes on where it stopped."""
    await jobs.find_job(studio.database, job_id, whose(user))
    is_bounded = whose(user) is not None
    job = await jobs.retry_job(studio.database, job_id, is_bounded=is_bounded)
    return JobAccepted(job_id=job.id)


@router.get("")
async def read_jobs(page: PageDep, user: Customer, studio: StudioDep) -> Page[JobResponse]:
    """One's own jobs, newest first; admins see everyone's."""
    async with studio.database.transaction() as session:
        found = await list_jobs(
            session, owner_id=whose(user), limit=page.limit + 1, after=page.after_key
        )
    shown = found[: page.limit]
    more = len(found) > page.limit
    return Page(
        items=await show_rows(shown, lambda job: JobResponse.of(studio, job)),
        next_cursor=Cursor(shown[-1].created_at, str(shown[-1].id)).encode() if more else None,
    )
