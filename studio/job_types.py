"""Job types, how a job is enqueued, and the arguments of the function that runs it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

from pydantic import ValidationError
from sqlmodel.ext.asyncio.session import AsyncSession

from db.jobs import count_open_jobs, find_keyed_job, insert_job
from db.tables import Job, Role
from errors import Conflict, Invalid, RateLimited
from studio.context import current_request_id, current_traceparent
from studio.forms import Form, fingerprint
from studio.ports import Studio


@dataclass(frozen=True)
class JobType:
    """One entry of `studio.jobs.registry.JOB_TYPES`; `jobs.registry` has the function that runs it.

    Attributes:
        role: the least role that may submit such a job.
        form: the form of the payload that callers send; by default an empty one.
        deadline_s: how long one attempt may take.
        check: checks what the payload refers to before the job is accepted; raises `StudioError`.
        max_open: how many queued and running jobs of this type an account may have.
        has_results: whether the job stores results for the account, which its quota may forbid.
        limit_class: the route class of requests that do the same work, if there are any.
    """

    name: str
    role: Role
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
    """Parses a stored payload, from which deleted files and pictures may have been removed.

    Raises:
        Invalid: a field is missing or not valid; another attempt would fail in the same way.
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
"""Writes the effect of a job, in the transaction in which the job succeeds."""


@dataclass(frozen=True)
class Outcome:
    """The result of a handler, and what is written in the transaction in which the job succeeds.

    error: why the job has failed although it has a result; another attempt would fail as well.
    """

    result: dict[str, Any] = field(default_factory=dict)
    record: Record | None = None
    error: str | None = None


class Progress(Protocol):
    """Reports how far long work is: `JobRun.progress`, or another function of this form."""

    def __call__(self, done: int, total: int, message: str, **details: Any) -> Awaitable[None]:
        """Reports `done` of `total` steps; a `total` of 0 means that it is not known."""
        ...


Guard = Callable[[AsyncSession], Awaitable[None]]
"""Runs first in a transaction that writes, and raises where it must not: `JobRun.guard`."""


class JobRun(Protocol):
    """One attempt of a job, as its handler sees it."""

    job_id: UUID
    owner_id: UUID | None
    payload: dict[str, Any]
    done: int
    """Steps that earlier attempts have reported as done."""

    async def progress(self, done: int, total: int, message: str, **details: Any) -> None:
        """Stores the progress, which watchers see; later attempts read it by `past`.

        Raises:
            JobStopped: another worker has the job, or its owner has cancelled it.
        """
        ...

    async def past(self) -> Sequence[dict[str, Any]]:
        """Reads the progress of all attempts so far, oldest first."""
        ...

    async def guard(self, session: AsyncSession) -> None:
        """Lets the transaction commit only while this attempt has the job.

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
    content: Any = None,
    job_id: UUID | None = None,
    priority: int = 0,
    run_at: datetime | None = None,
) -> Job:
    """Inserts a job in the caller's own transaction; dispatchers hear of it when that commits.

    `content` is what all requests with one idempotency key must have in common; by default the
    payload.

    Raises:
        Conflict: the key was used with another request.
        TooManyOpenJobs: the account has as many jobs of this type as it may have.
    """
    digest = fingerprint([job_type.name, payload if content is None else content, priority, run_at])
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
        former = await find_keyed_job(session, owner_id, idempotency_key)
        if former is not None and former.fingerprint != digest:
            raise Conflict("this Idempotency-Key was used with another request")
        if former is not None:
            return former
    if owner_id is not None:
        await require_room(session, job_type, owner_id)
    return await insert_job(session, job)


async def require_room(session: AsyncSession, job_type: JobType, owner_id: UUID) -> None:
    """Requires that the account may have one more job of the type, until the transaction ends.

    Raises:
        TooManyOpenJobs: it has as many as it may have.
    """
    limit = job_type.max_open
    if await count_open_jobs(session, owner_id, job_type.name, limit) >= limit:
        raise TooManyOpenJobs(
            f"this account has {limit} open {job_type.name} jobs, the most that it may have: "
            f"wait until one has ended or cancel one, and try again in "
            f"{TooManyOpenJobs.retry_after_s} s"
        )
