"""Routes of jobs: what became of the heavy work that was accepted."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter

from db.jobs import get_job, list_jobs
from db.tables import Job
from errors import NotFound
from gateway.deps import Customer, StudioDep
from gateway.paging import Cursor, PageDep
from gateway.wire import Page, WireResponse

router = APIRouter(prefix="/api/jobs", tags=["jobs"])


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
    result: dict[str, Any] | None
    error: str | None

    @classmethod
    def of(cls, job: Job) -> "JobResponse":
        """Row -> wire."""
        progress = ProgressResponse(
            done=job.progress_done, total=job.progress_total, message=job.progress_message
        )
        names = set(cls.model_fields) - {"progress"}
        return cls(**{name: getattr(job, name) for name in names}, progress=progress)


@router.get("/{job_id}")
async def read_job(job_id: UUID, user: Customer, studio: StudioDep) -> JobResponse:
    """One job of one's own; admins see everyone's."""
    async with studio.database.transaction() as session:
        job = await get_job(session, job_id)
    if job is None or (job.owner_id != user.id and not user.has_role("admin")):
        raise NotFound("no such job")
    return JobResponse.of(job)


@router.get("")
async def read_jobs(page: PageDep, user: Customer, studio: StudioDep) -> Page[JobResponse]:
    """One's own jobs, newest first; admins see everyone's."""
    owner_id = None if user.has_role("admin") else user.id
    async with studio.database.transaction() as session:
        found = await list_jobs(
            session, owner_id=owner_id, limit=page.limit + 1, after=page.after_key
        )
    shown = found[: page.limit]
    more = len(found) > page.limit
    return Page(
        items=[JobResponse.of(job) for job in shown],
        next_cursor=Cursor(shown[-1].created_at, str(shown[-1].id)).encode() if more else None,
    )
