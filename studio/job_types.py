"""What a type of job is to those who ask for one, and what the function that does it is given."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

from pydantic import ValidationError
from sqlmodel.ext.asyncio.session import AsyncSession

from db.jobs import count_open_jobs, find_keyed_job, insert_job
from db.tables import Job
from errors import Conflict, Invalid, RateLimited
from studio.context import current_request_id, current_traceparent
from studio.forms import Form
from studio.idempotency import fingerprint
from studio.ports import Studio


@dataclass(frozen=True)
class JobType:
    """One entry of `studio.jobs.jobs.JOB_TYPES`; `jobs.handlers` says who does the work.

    Attributes:
        role: the least that may ask for such a job.
        form: the payload that callers send; by default an empty one.
        deadline_s: one attempt may take so long.
        check: looks at what the payload names, before the job is accepted; raises `StudioError`.
        max_open: so many queued and running jobs of this type one account may have.
        has_results: whether something is stored for the account, which its quota may forbid.
        limit_class: the route class of the requests that do the same work, if there are any.
    """

    name: str
    role: str
    form: type[Form] = Form
    deadline_s: float = 3600.0
    max_attempts: int = 5
    check: Callable[[Studio, UUID, Any], Awaitable[None]] | None = None
    max_open: int = 100
    has_results: bool = True
    limit_class: str | None = None


class TooManyOpenJobs(RateLimited):
    """The account has as many jobs of this type as it may have."""

    retry_after_s = 30


FormT = TypeVar("FormT", bound=Form)


def read_payload(form: type[FormT], payload: dict[str, Any]) -> FormT:
    """A stored payload as a form. It was complete once: what was deleted since is taken out of it.

    Raises:
        Invalid: a field is missing or not usable; another attempt would end the same way.
    """
    try:
        return form.model_validate(payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field_name = ".".join(str(step) for step in first["loc"])
        problem = f"{field_name}: {first['msg']}" if field_name else first["msg"]
        raise Invalid(
            f"the job's payload is not complete any more ({problem}): a file or picture that it "
            "named was deleted, so submit a new job"
        ) from None


Record = Callable[[AsyncSession], Awaitable[None]]


@dataclass(frozen=True)
class Outcome:
    """What a handler gives back: the job's result, and what is written in the finish itself."""

    result: dict[str, Any] = field(default_factory=dict)
    record: Record | None = None


JobProgress = Callable[[int, int, str], Awaitable[None]]
"""Called with the steps done, the steps in total and a message; may raise to end the job."""


class JobRun(Protocol):
    """One attempt of a job, as its handler sees it."""

    job_id: UUID
    owner_id: UUID | None
    payload: dict[str, Any]
    done: int
    """How far an earlier attempt came, by what it reported."""

    async def progress(self, done: int, total: int, message: str, **details: Any) -> None:
        """Tells the watchers; `details` reach them too, and later attempts by `past`.

        Raises:
            JobStopped: another worker has the job, or its owner has cancelled it.
        """
        ...

    async def past(self) -> Sequence[dict[str, Any]]:
        """Every progress that was reported, oldest first."""
        ...

    async def guard(self, session: AsyncSession) -> None:
        """Makes a transaction of the handler's part of this attempt, or of nothing.

        Raises:
            Superseded: another worker has the job.
        """
        ...


async def enqueue(
    session: AsyncSession,
    job_type: JobType,
    payload: dict[str, Any],
    *,
    owner_id: UUID | None,
    idempotency_key: str | None = None,
    asked: Any = None,
    job_id: UUID | None = None,
    priority: int = 0,
    run_at: datetime | None = None,
) -> Job:
    """A job in the caller's own transaction: rolled back with it, announced when it commits.

    `asked` is what two requests of one idempotency key must have in common; the payload if unset.

    Raises:
        Conflict: the key was used with another request.
        TooManyOpenJobs: see `require_room`.
    """
    digest = fingerprint([job_type.name, payload if asked is None else asked, priority, run_at])
    job = Job(
        type=job_type.name,
        owner_id=owner_id,
        payload=payload,
        priority=priority,
        max_attempts=job_type.max_attempts,
        idempotency_key=idempotency_key,
        fingerprint=digest,
        request_id=current_request_id(),
        traceparent=current_traceparent(),
    )
    if job_id is not None:
        job.id = job_id
    if run_at is not None:
        job.run_at = run_at
    if idempotency_key is not None:
        there = await find_keyed_job(session, owner_id, idempotency_key)
        if there is not None and there.fingerprint != digest:
            raise Conflict("this Idempotency-Key was used with another request")
        if there is not None:
            return there
    if owner_id is not None:
        await require_room(session, job_type, owner_id)
    return await insert_job(session, job)


async def require_room(session: AsyncSession, job_type: JobType, owner_id: UUID) -> None:
    """Makes sure that the account may have one more job of the type, until the transaction ends.

    Raises:
        TooManyOpenJobs: it has as many as it may have.
    """
    most = job_type.max_open
    if await count_open_jobs(session, owner_id, job_type.name, most) >= most:
        raise TooManyOpenJobs(
            f"this account has {most} open {job_type.name} jobs, the most that it may have: "
            f"wait until one has ended or cancel one, and try again in "
            f"{TooManyOpenJobs.retry_after_s} s"
        )
