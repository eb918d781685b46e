"""Routes of jobs: submit, read, cancel and retry."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AwareDatetime, Field, ValidationError, WithJsonSchema, field_validator

from db.tables import Job
from errors import Forbidden
from gateway.deps import CurrentUser, Customer, IdempotencyKey, LimitsDep, StudioDep
from gateway.documents import Document
from gateway.limits import count_request
from gateway.paging import PageDep, page_of
from gateway.wire import JobAccepted, Page, WireRequest, WireResponse
from studio.forms import Form
from studio.job_types import JobType
from studio.jobs import jobs
from studio.jobs.registry import JOB_TYPES
from studio.ports import Studio

router = APIRouter(prefix="/api/jobs", tags=["jobs"])

MOST_DAYS_AHEAD = 30


class JobRequest(WireRequest):
    """A job to run: highest priority first (above 0 for admins only), not before `runAt`."""

    type: Annotated[str, WithJsonSchema({"type": "string", "enum": list(JOB_TYPES)})]
    payload: dict[str, Any] = {}
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    run_at: AwareDatetime | None = None

    @field_validator("run_at")
    @classmethod
    def refuse_far_ahead(cls, run_at: datetime | None) -> datetime | None:
        """Refuses a time too far ahead: such a job would stay in the queue for years."""
        if run_at is not None and run_at > datetime.now(UTC) + timedelta(days=MOST_DAYS_AHEAD):
            raise ValueError(f"must be at most {MOST_DAYS_AHEAD} days ahead")
        return run_at


class ProgressResponse(WireResponse):
    """How much of the job is done."""

    done: int
    total: int
    message: str

    @classmethod
    def of(cls, job: Job) -> Self:
        """The progress in a job's row."""
        return cls(done=job.progress_done, total=job.progress_total, message=job.progress_message)


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
    async def of(cls, studio: Studio, job: Job) -> Self:
        """Adds the progress, and signed URLs of the blobs that the result names."""
        return cls.from_row(
            job,
            progress=ProgressResponse.of(job),
            result=await jobs.signed_result(studio, job.result),
        )


def visible_owner(user: CurrentUser) -> UUID | None:
    """The owner whose jobs the caller may see; None for admins, who may see all."""
    return None if user.has_role("admin") else user.id


def read_type(body: JobRequest, user: CurrentUser) -> JobType:
    """The type of the requested job.

    Raises:
        RequestValidationError: there is no such type.
        Forbidden: the caller may not submit it, or not with this priority.
    """
    job_type = JOB_TYPES.get(body.type)
    if job_type is None:
        message = f"must be one of {', '.join(JOB_TYPES)}"
        raise RequestValidationError([{"type": "enum", "loc": ("body", "type"), "msg": message}])
    if not user.has_role(job_type.role):
        raise Forbidden(f"{job_type.name} jobs need the role {job_type.role}")
    if body.priority > 0 and not user.has_role("admin"):
        raise Forbidden("a priority above 0 needs the role admin")
    return job_type


def read_payload(body: JobRequest, job_type: JobType) -> Form:
    """The payload as the form of its job type.

    Raises:
        RequestValidationError: fields of the payload are wrong.
    """
    try:
        return job_type.form.model_validate(body.payload)
    except ValidationError as error:
        raise RequestValidationError(
            [
                {**item, "loc": ("body", "payload", *item["loc"])}
                for item in error.errors(include_input=False, include_url=False)
            ]
        ) from None


@router.post("", status_code=202)
async def create_job(
    request: Request,
    body: JobRequest,
    user: Customer,
    studio: StudioDep,
    limits: LimitsDep,
    idempotency_key: IdempotencyKey = None,
) -> JobAccepted:
    """Accepts a job, which is then never lost; a repetition with the same key gets the same job."""
    job_type = read_type(body, user)
    form = read_payload(body, job_type)
    if job_type.limit_class is not None:
        await count_request(limits, request.scope, job_type.limit_class)
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
    """Returns one of the caller's jobs; for admins, anyone's."""
    return await JobResponse.of(
        studio, await jobs.find_job(studio.database, job_id, visible_owner(user))
    )


@router.delete("/{job_id}", responses={202: {"model": JobResponse}})
async def cancel_job(
    job_id: UUID, user: Customer, studio: StudioDep, response: Response
) -> JobResponse:
    """Cancels a queued job at once (200), or asks a running one to stop (202)."""
    job = await jobs.cancel_own_job(studio, job_id, visible_owner(user))
    if job.state != "cancelled":
        response.status_code = 202
    return await JobResponse.of(studio, job)


@router.post("/{job_id}/retry", status_code=202)
async def retry_failed_job(job_id: UUID, user: Customer, studio: StudioDep) -> JobAccepted:
    """Queues a failed job again; it continues where it stopped."""
    job = await jobs.retry_own_job(studio, job_id, visible_owner(user))
    return JobAccepted(job_id=job.id)


@router.get("")
async def read_jobs(page: PageDep, user: Customer, studio: StudioDep) -> Page[JobResponse]:
    """Lists the caller's jobs, newest first; for admins, everyone's."""
    rows = await jobs.list_jobs(
        studio.database, visible_owner(user), limit=page.row_limit, after=page.after_key
    )
    return await page_of(rows, page, partial(JobResponse.of, studio))
